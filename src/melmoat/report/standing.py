"""The standard's leaderboard: places from paired comparisons, and its charts.

In the style of RobustBench (Croce et al. 2021). A table has one corpus and one way of counting
errors. Its systems are ranked by their capped error rate at ``RANKED_AT``, in the worst case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from melmoat.bench.labels import heading
from melmoat.metrics.intervals import bootstrap, paired, rate
from melmoat.report.charts import Axis, Point, Series, chart, rates
from melmoat.report.curves import Drawn
from melmoat.report.digest import Interval, place_text
from melmoat.standard.entries import Entry, Statement, way_of
from melmoat.standard.figures import CLEAN, HalfPoint
from melmoat.standard.levels import L2, LINF, Level
from melmoat.standard.reading import half_of_result
from melmoat.standard.result import Result

RANKED_AT = Level("l2", 20.0)
COLUMNS = (CLEAN, *(level.name for level in L2), LINF.name)


@dataclass(frozen=True)
class Standing:
    """One system in its table, with figures from the errors of its utterances."""

    entry: Entry
    place: str

    @property
    def result(self) -> Result:
        """What was measured."""
        return self.entry.result

    @property
    def said(self) -> Statement:
        """What its submitter says."""
        return self.entry.statement

    @property
    def heading(self) -> tuple[str, str]:
        """Its label, and its parts."""
        return heading(self.result.model, self.result.defense, {"system": self.said.label})

    def capped(self, level: str = RANKED_AT.name) -> float:
        """The capped error rate in percent at a level."""
        return _rate(self.result, level)

    def interval(self, level: str = RANKED_AT.name) -> Interval:
        """Its 95 % interval over utterances."""
        u = self.result.utterances
        found = bootstrap(u.capped[level], u.lengths)
        assert found is not None  # an entry has at least 20 utterances
        return found

    @property
    def half(self) -> HalfPoint:
        """The SNR at which half of the words are wrong."""
        return half_of_result(self.result)

    @property
    def half_order(self) -> float:
        """The same as a number to sort by, also where it lies outside of the levels."""
        half = self.half
        return half.db if half.db is not None else (999 if half.text.startswith("above") else -999)

    @property
    def why(self) -> str:
        """The checks that found a sign, or else those that lack evidence."""
        found = self.result.findings
        signs = [f.check for f in found if f.status == "sign"]
        return ", ".join(signs or [f.check for f in found if f.status in ("open", "missing")])

    @property
    def cost(self) -> tuple[float, float, float]:
        """Passes and queries an utterance, and seconds of crafting in all."""
        costs = list(self.result.cost.values())
        return (
            sum(c.passes for c in costs) / len(costs),
            sum(c.queries for c in costs) / len(costs),
            sum(c.seconds for c in costs),
        )

    @property
    def members(self) -> list[tuple[str, list[str]]]:
        """For each member, by level: points added and utterances attacked."""
        lines = self.result.members
        return [
            (name, [_did(lines, name, level) for level in self.levels])
            for name in dict.fromkeys(line.member for line in lines)
        ]

    @property
    def levels(self) -> list[str]:
        """Names of the levels, in the order of their measurement."""
        return [found.level for found in self.result.levels]


@dataclass(frozen=True)
class StandardBoard:
    """The systems on one corpus whose errors are counted in one way."""

    title: str
    data: str
    metric: str
    normaliser: str | None
    utterances: int
    rows: tuple[Standing, ...]
    plot: Drawn
    curves: Drawn


def standard_boards(entries: Sequence[Entry]) -> list[StandardBoard]:
    """One table a corpus and way of counting, the one with most systems first."""
    groups: dict[tuple[str, str, str | None], list[Entry]] = {}
    for entry in entries:
        groups.setdefault(way_of(entry.result), []).append(entry)
    made = [_board(several) for several in groups.values()]
    return sorted(made, key=lambda board: (-len(board.rows), board.title, str(board.normaliser)))


def _board(entries: Sequence[Entry]) -> StandardBoard:
    order = sorted(entries, key=_order)
    rows = [Standing(e, place_text(p)) for e, p in zip(order, ranked(order), strict=True)]
    result = order[0].result
    return StandardBoard(
        order[0].corpus,
        result.data,
        result.metric,
        result.utterances.normaliser,
        max(e.result.n for e in entries),
        tuple(rows),
        _plot(rows, result.metric),
        _curves(rows, result.metric),
    )


def _order(entry: Entry) -> tuple[bool, float, str]:
    """Ranked systems first."""
    result = entry.result
    return result.verdict == "suspect", _rate(result, RANKED_AT.name), entry.name


def _rate(result: Result, level: str) -> float:
    found = rate(result.utterances.capped[level], result.utterances.lengths)
    assert found is not None  # an entry has words
    return found


def ranked(entries: Sequence[Entry]) -> list[tuple[int, int] | None]:
    """Best and worst possible place of each system; None where the verdict is ``suspect``.

    A system is better than another one if the paired interval of the difference, over the
    utterances of both, lies below zero, and the sign-flip test agrees (p < 0.05). Each pair is
    tested on its own.
    """
    placed = [e.result for e in entries if e.result.verdict != "suspect"]
    found: list[tuple[int, int] | None] = []
    for entry in entries:
        if entry.result.verdict == "suspect":
            found.append(None)
            continue
        signs = [better(entry.result, other) for other in placed if other is not entry.result]
        found.append((1 + signs.count(-1), len(placed) - signs.count(1)))
    return found


def better(one: Result, other: Result) -> int:
    """1 if ``one`` is told apart as the more robust, -1 if ``other`` is, 0 if neither."""
    ours, theirs = _by_name(one), _by_name(other)
    both = sorted(set(ours) & set(theirs))
    totals = [ours[name][1] for name in both]
    found = paired([ours[name][0] for name in both], [theirs[name][0] for name in both], totals)
    if found is None or found.p >= 0.05 or found.low <= 0 <= found.high:
        return 0
    return 1 if found.points < 0 else -1


def _by_name(result: Result) -> dict[str, tuple[float, int]]:
    """Capped errors and length of each utterance."""
    u = result.utterances
    pairs = zip(u.capped[RANKED_AT.name], u.lengths, strict=True)
    return dict(zip(u.ids, pairs, strict=True))


def _did(lines: Sequence[Any], member: str, level: str) -> str:
    for line in lines:
        if (line.member, line.level) == (member, level):
            return f"{line.added:+.1f} / {line.attacked}"
    return ""


def _plot(rows: Sequence[Standing], metric: str) -> Drawn:
    series = []
    for row in rows:
        x, y = row.capped(CLEAN), row.capped()
        label = f"{x:.1f} on clean speech, {y:.1f} in the worst case at {RANKED_AT.name}"
        label += f", {row.result.verdict}"
        point = Point(x, y, row.interval(), row.interval(CLEAN), label)
        series.append(Series(row.said.label, [point], joined=False))
    points = [p for one in series for p in one.points]
    x_axis = rates(f"capped {metric} % on clean speech", [p.across[1] for p in points if p.across])
    y_axis = rates(f"capped {metric} % in the worst case, {RANKED_AT.name}", [100.0])
    title = "Clean speech against the worst case"
    about = f"One dot a system: its capped {metric} on clean speech and under the standard's worst "
    about += "case, with 95 % intervals. Low and left is better. The numbers are in the table."
    names = tuple(one.name for one in series)
    return Drawn(title, chart(title, about, series, x_axis, y_axis), names)


def _curves(rows: Sequence[Standing], metric: str) -> Drawn:
    dbs = [level.db for level in L2]
    clean, aside = dbs[0] + 7, 0.15
    series = []
    for i, row in enumerate(rows):
        shift = (i - (len(rows) - 1) / 2) * aside  # or intervals hide one another
        places = [(clean, CLEAN), *((level.db, level.name) for level in L2)]
        points = [
            Point(db - shift, row.capped(name), row.interval(name), label=f"{name}: "
                  f"{row.capped(name):.1f}")
            for db, name in places
        ]  # fmt: skip
        series.append(Series(row.said.label, points))
    ticks = [(clean, "no attack"), *((db, f"{db:g} dB") for db in dbs)]
    x_axis = Axis(
        "SNR of the perturbation (l2); louder to the right", clean + 2, dbs[-1] - 2, ticks
    )
    title = f"Capped {metric} against SNR"
    about = f"The worst case's capped {metric} of each system at each level, with 95 % intervals. "
    about += "The numbers are in the table."
    names = tuple(one.name for one in series)
    y_axis = rates(f"capped {metric} %", [100.0])
    return Drawn(title, chart(title, about, series, x_axis, y_axis), names, curve=True)

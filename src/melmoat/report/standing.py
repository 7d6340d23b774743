"""The standard's leaderboard: its tables and their charts.

In the style of RobustBench (Croce et al. 2021). A table has one corpus and one way of counting
errors. :mod:`melmoat.standard.places` says what its systems are ranked by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from melmoat.bench.labels import heading
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.report.charts import Axis, Point, Series, chart, rates
from melmoat.report.curves import Drawn
from melmoat.report.digest import Interval, place_text
from melmoat.standard.entries import Entry, Statement, way_of
from melmoat.standard.figures import CLEAN, HalfPoint
from melmoat.standard.levels import LINF
from melmoat.standard.places import OVER, RANKED, Mean, Place, mean_of, places
from melmoat.standard.reading import half_of_result
from melmoat.standard.result import Result
from melmoat.standard.slope import Slope, slope_of

COLUMNS = (*(level.name for level in RANKED), LINF.name)


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

    @cached_property
    def mean(self) -> Mean:
        """What it is ranked by."""
        return mean_of(self.result)

    def capped(self, level: str) -> float | None:
        """The capped error rate in percent at a level; None if this was not tried."""
        u = self.result.utterances
        return rate(u.capped[level], u.lengths) if level in u.capped else None

    def interval(self, level: str) -> Interval | None:
        """Its 95 % interval over utterances."""
        u = self.result.utterances
        return bootstrap(u.capped[level], u.lengths) if level in u.capped else None

    @property
    def slope(self) -> Slope:
        """Whether its attackers had its gradient."""
        return slope_of(self.result)

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
    found = zip(entries, places([e.result for e in entries]), strict=True)
    order = sorted(((e, place, mean_of(e.result)) for e, place in found), key=_order)
    rows = [Standing(entry, place_text(place)) for entry, place, _ in order]
    result = rows[0].result
    return StandardBoard(
        rows[0].entry.corpus,
        result.data,
        result.metric,
        result.utterances.normaliser,
        max(e.result.n for e in entries),
        tuple(rows),
        _plot(rows, result.metric),
        _curves(rows, result.metric),
    )


def _order(row: tuple[Entry, Place | None, Mean]) -> tuple[bool, Place, float, str]:
    """Ranked systems first, by place; those that share one by the least mean."""
    entry, place, mean = row
    return place is None, place or (0, 0), mean.least, entry.name


def _did(lines: Sequence[Any], member: str, level: str) -> str:
    for line in lines:
        if (line.member, line.level) == (member, level):
            return f"{line.added:+.1f} / {line.attacked}"
    return ""


def _plot(rows: Sequence[Standing], metric: str) -> Drawn:
    series = []
    for row in rows:
        mean, x = row.mean, row.capped(CLEAN) or 0.0
        label = f"{x:.1f} on clean speech, {mean.text} in the worst case, mean over {OVER}"
        label += f", {row.result.verdict}, gradient: {row.slope}"
        point = Point(x, (mean.least + mean.most) / 2, mean.interval, row.interval(CLEAN), label)
        series.append(Series(row.said.label, [point], joined=False))
    points = [p for one in series for p in one.points]
    x_axis = rates(f"capped {metric} % on clean speech", [p.across[1] for p in points if p.across])
    y_axis = rates(f"capped {metric} %, mean over {OVER}", [100.0])
    title = "Clean speech against the worst case"
    about = f"One dot a system: its capped {metric} on clean speech and in the worst case, averaged"
    about += f" over {OVER}, with 95 % intervals. Low and left is better. The numbers are in the "
    about += "table."
    names = tuple(one.name for one in series)
    return Drawn(title, chart(title, about, series, x_axis, y_axis), names)


def _curves(rows: Sequence[Standing], metric: str) -> Drawn:
    dbs = [level.db for level in RANKED]
    clean, aside = dbs[0] + 7, 0.25
    series = []
    for i, row in enumerate(rows):
        shift = (i - (len(rows) - 1) / 2) * aside  # or intervals hide one another
        points = [
            Point(db - shift, at, row.interval(name), label=f"{name}: {at:.1f}")
            for db, name in [(clean, CLEAN), *((level.db, level.name) for level in RANKED)]
            if (at := row.capped(name)) is not None
        ]
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

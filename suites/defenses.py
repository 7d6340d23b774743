"""The measured defenses in one table a corpus: clean speech against the worst attack tried.

    python suites/defenses.py

Reads runs under results/, and results/defenses.yaml, which says which ones, and what stands for
each system. Errors of an utterance count at most its number of words. At a level the worst of all
attacks that were tried on an utterance counts. Systems are compared on the utterances that both
have. Writes results/defenses.md and a plot, results/defenses.svg.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from capped import percent
from lab import HOME, plainly

from melmoat.analysis.audit import audit
from melmoat.analysis.results import Result, read_results
from melmoat.analysis.variants import setting
from melmoat.attacks.budgets import L2, SNR, LinfSNR
from melmoat.errors import MelmoatError
from melmoat.metrics.intervals import bootstrap, paired, rate
from melmoat.report.digest import SystemSummary, systems
from melmoat.report.leaderboard import SAME, merged
from melmoat.report.plots import COLORS, figure

FEWEST = 20  # utterances of a paired comparison


@dataclass(frozen=True)
class Share:
    """Capped errors and words by utterance; ``attacks`` were tried on all of them, ``others`` on
    some."""

    errors: Mapping[str, int]
    words: Mapping[str, int]
    attacks: int
    others: int

    @property
    def percent(self) -> float:
        """Capped WER."""
        return rate(list(self.errors.values()), list(self.words.values())) or 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval over utterances."""
        found = bootstrap(list(self.errors.values()), list(self.words.values()))
        return found or (self.percent, self.percent)

    def text(self, most: int) -> str:
        """As a cell of a table, where most systems have so many utterances."""
        few = f", n = {len(self.words)}" if len(self.words) != most else ""
        return percent(list(self.errors.values()), list(self.words.values())) + few

    @property
    def tried(self) -> str:
        """Of how many attacks it is the worst."""
        more = f" and {self.others} on fewer" if self.others else ""
        return f"{self.attacks}{more}"

    def above(self, other: Share) -> str:
        """Points above another one on the utterances of both, with the 95 % interval."""
        both = sorted(set(self.errors) & set(other.errors))
        if self is other or len(both) < FEWEST:
            return "-"
        ours, theirs = ([s.errors[name] for name in both] for s in (self, other))
        found = paired(ours, theirs, [self.words[name] for name in both])
        return f"{found.points:+.1f} [{found.low:+.1f}, {found.high:+.1f}]" if found else "-"


@dataclass(frozen=True)
class Line:
    """One system: what the file says of it, clean speech, and the worst case by level."""

    said: Mapping[str, Any]
    clean: Share
    worst: Mapping[str, Share | None]
    verdict: str

    @property
    def label(self) -> str:
        """Its name in the table."""
        return str(self.said["label"])

    @property
    def last(self) -> Share | None:
        """The worst case at the last level."""
        return list(self.worst.values())[-1]


def main() -> None:
    boards = yaml.safe_load((HOME / "results" / "defenses.yaml").read_text("utf-8"))
    text: list[str] = []
    with figure(HOME / "results" / "defenses.svg", 5 * len(boards), 5, len(boards)) as axes:
        for board, ax in zip(boards, axes, strict=True):
            lines = lines_of(board)
            text += table(board, lines)
            draw(ax, board, lines)
    (HOME / "results" / "defenses.md").write_text("\n".join(text), "utf-8")
    print("\n".join(text))


def lines_of(board: Mapping[str, Any]) -> list[Line]:
    """The systems of a board, the most robust first."""
    found = [
        result
        for run in board["runs"]
        for result in read_results(HOME / "results" / run)
        if result.rows and result.cell.data == board["data"]
    ]
    every = {result.cell: result for result in sorted(found, key=lambda r: len(r.rows))}
    results = list(every.values())  # of a cell in several runs the one with most utterances
    known = merged(systems(results, audit(results, bare=True)))
    lines = [line(said, known, board["columns"]) for said in board["systems"]]
    names = set(max((one.clean.words for one in lines), key=len))
    for one in lines:
        if not set(one.clean.words) <= names:
            raise MelmoatError(f"{board['title']}: {one.label} has other utterances")
    return sorted(lines, key=lambda one: one.last.percent if one.last else 101.0)


def line(
    said: Mapping[str, Any], known: Sequence[SystemSummary], columns: Mapping[str, Any]
) -> Line:
    for s in known:
        if (s.model, s.defense) == (said["model"], said["defense"]) and s.benign:
            break
    else:
        raise MelmoatError(f"defenses.yaml: {said['model']} / {said['defense']} was not measured")
    worst = {
        name: share([r for r in s.tried if at(r, level) and moved(r)])
        for name, level in columns.items()
    }
    clean = share([s.benign])
    assert clean
    return Line(said, clean, worst, s.audited.verdict)


def at(result: Result, level: Mapping[str, float]) -> bool:
    """Whether an attack's budget is that of ``level``."""
    budget = setting(result.cell.attack).budget
    if isinstance(budget, SNR | LinfSNR) and "db" in level:
        return abs(budget.db - level["db"]) <= SAME
    return isinstance(budget, L2) and budget.eps == level.get("eps")


def moved(result: Result) -> bool:
    """Whether an attack changed anything: a zero gradient is no attack."""
    return any(row["snr_db"] is not None for row in result.rows.values())


def share(results: Sequence[Result]) -> Share | None:
    """The worst capped errors of each utterance; None if there is nothing."""
    errors: dict[str, int] = {}
    words: dict[str, int] = {}
    for result in results:
        for name, edits, total in zip(result.rows, *result.errors(), strict=True):
            errors[name] = max(errors.get(name, 0), min(edits, total))
            words[name] = total
    whole = sum(len(result.rows) == len(words) for result in results)
    return Share(errors, words, whole, len(results) - whole) if words else None


def table(board: Mapping[str, Any], lines: Sequence[Line]) -> list[str]:
    """One table."""
    none = next(one for one in lines if one.label == "none")
    most = len(none.clean.words)
    last = list(board["columns"])[-1]
    head = ["", "what it does", "trained for it", "clean", "above none"]
    for name in board["columns"]:
        head += [name, "attacks"]
    head += [f"above none, {last}", "audit", "cost"]
    rows = [
        f"{board['title']}: capped WER %, n = {most}",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for one in lines:
        cells = [one.label, one.said["does"], "yes" if one.said.get("trained") else ""]
        cells += [one.clean.text(most), one.clean.above(none.clean)]
        for found in one.worst.values():
            cells += [found.text(most), found.tried] if found else ["-", ""]
        gain = one.last.above(none.last) if one.last and none.last else "-"
        rows.append(f"| {' | '.join([*cells, gain, one.verdict, one.said['cost']])} |")
    return [*rows, ""]


def draw(ax: Any, board: Mapping[str, Any], lines: Sequence[Line]) -> None:
    """Clean speech against the worst case at the last level. Names stand only beside no defense and
    beside what no other system beats in both: the others lie on one another."""
    shown = [(one.label, one.clean, one.last) for one in lines if one.last]
    heights = itertools.cycle((-9, 2))
    for label, without, under in shown:
        x, y = without.percent, under.percent
        beaten = any(
            one.percent <= x and two.percent <= y and (one.percent, two.percent) != (x, y)
            for _, one, two in shown
        )
        low, high = under.interval
        color = COLORS[5] if beaten else COLORS[0]
        ax.errorbar(x, y, [[y - low], [high - y]], fmt="o", ms=4, lw=0.8, color=color)
        if not beaten or label == "none":
            right = label != "none"
            ax.annotate(
                label,
                (x, y),
                (6 if right else -6, next(heights)),
                textcoords="offset points",
                fontsize=8,
                ha="left" if right else "right",
            )
    ax.set_title(board["title"], fontsize=9)
    ax.set_xlabel("capped WER % on clean speech")
    ax.set_ylabel(f"capped WER %, worst attack tried, {list(board['columns'])[-1]}")
    ax.set_ylim(0, 103)
    ax.set_xlim(0, 1.15 * max(one.percent for _, one, _ in shown))


if __name__ == "__main__":
    plainly(main)

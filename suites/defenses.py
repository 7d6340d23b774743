"""Every measured defense in one table: clean speech against the strongest attack.

    python suites/defenses.py

Reads all runs under results/, and results/defenses.yaml, which says what stands for each system.
Errors of an utterance count at most its number of words. At a level the worst counts of all attacks
that were tried on an utterance. Writes results/defenses.md and a plot, results/defenses.svg.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from lab import HOME, plainly

from melmoat.analysis.audit import audit
from melmoat.analysis.results import Result, read_results
from melmoat.analysis.variants import setting
from melmoat.attacks.budgets import L2, SNR, LinfSNR
from melmoat.errors import MelmoatError
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.report.digest import SystemSummary, systems
from melmoat.report.leaderboard import merged, runs_in
from melmoat.report.plots import COLORS, figure
from melmoat.report.tables import interval_text

NEAR = 0.75  # dB: attacks this close to a level belong to it


@dataclass(frozen=True)
class Share:
    """Capped errors of some utterances, and their words."""

    errors: Sequence[float]
    words: Sequence[float]
    attacks: int = 0

    @property
    def percent(self) -> float:
        """Capped WER."""
        return rate(self.errors, self.words) or 0.0

    @property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % interval over utterances."""
        return bootstrap(self.errors, self.words)

    @property
    def text(self) -> str:
        """As a cell of a table."""
        return f"{self.percent:.1f} {interval_text(self.interval)}".strip()


def main() -> None:
    found = read_all(runs_in([HOME / "results"]))
    summaries = merged(systems(found, audit(found, bare=True)))
    boards = yaml.safe_load((HOME / "results" / "defenses.yaml").read_text("utf-8"))
    lines: list[str] = []
    with figure(HOME / "results" / "defenses.svg", 5 * len(boards), 5, len(boards)) as axes:
        for board, ax in zip(boards, axes, strict=True):
            rows = [(said, system_of(said, board["data"], summaries)) for said in board["systems"]]
            lines += table(board, rows)
            draw(ax, board, rows)
    (HOME / "results" / "defenses.md").write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))


def read_all(folders: Iterable[Path]) -> list[Result]:
    """The results of all runs; where several have a cell, the largest."""
    largest: dict[Any, Result] = {}
    for result in (result for folder in folders for result in read_results(folder) if result.rows):
        known = largest.get(result.cell, result)
        largest[result.cell] = max(known, result, key=lambda r: len(r.rows))
    return list(largest.values())


def system_of(
    said: Mapping[str, Any], corpus: str, known: Sequence[SystemSummary]
) -> SystemSummary:
    """The measured system that a line of the file names."""
    wanted = said["model"], said["defense"], corpus
    for system in known:
        if (system.model, system.defense, system.data) == wanted and system.benign:
            return system
    raise MelmoatError(f"defenses.yaml: {said['label']}: {' / '.join(wanted)} was not measured")


def clean(system: SystemSummary) -> Share:
    """Without an attack."""
    assert system.benign
    return share([system.benign])


def worst(system: SystemSummary, level: Mapping[str, float]) -> Share | None:
    """The worst case at ``level``; None if nothing was tried there."""
    tried = [result for result in system.tried if at(result, level)]
    return share(tried) if tried else None


def at(result: Result, level: Mapping[str, float]) -> bool:
    """Whether an attack's budget is that of ``level``."""
    budget = setting(result.cell.attack).budget
    if isinstance(budget, SNR | LinfSNR) and "db" in level:
        return abs(budget.db - level["db"]) <= NEAR
    return isinstance(budget, L2) and budget.eps == level.get("eps")


def share(results: Sequence[Result]) -> Share:
    """The worst capped errors of each utterance."""
    errors: dict[str, int] = {}
    words: dict[str, int] = {}
    for result in results:
        for name, row in result.rows.items():
            edits, total = row["counts"]["adversarial"][result.unit]
            errors[name] = max(errors.get(name, 0), min(edits, total))
            words[name] = total
    return Share(list(errors.values()), [words[name] for name in errors], len(results))


def table(
    board: Mapping[str, Any], rows: Sequence[tuple[Mapping[str, Any], SystemSummary]]
) -> list[str]:
    """One table, the most robust system first."""
    columns = board["columns"]
    last = list(columns.values())[-1]

    def order(row: tuple[Mapping[str, Any], SystemSummary]) -> float:
        found = worst(row[1], last)
        return found.percent if found else 101.0

    head = ["", "what it does", "trained for it", "clean", *columns, "of", "audit", "cost"]
    lines = [
        f"{board['title']}, capped WER %:",
        "",
        f"| {' | '.join(head)} |",
        "|---" * len(head) + "|",
    ]
    for said, system in sorted(rows, key=order):
        shares = [worst(system, level) for level in columns.values()]
        cells = [
            said["label"],
            said["does"],
            "yes" if said.get("trained") else "",
            clean(system).text,
            *("-" if s is None else s.text for s in shares),
            "-" if shares[-1] is None else f"{shares[-1].attacks}, n = {len(shares[-1].words)}",
            system.audited.verdict,
            said["cost"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return [*lines, ""]


def draw(
    ax: Any, board: Mapping[str, Any], rows: Sequence[tuple[Mapping[str, Any], SystemSummary]]
) -> None:
    """Clean speech against the worst case at the last level. Only what no other system beats in
    both has a name, and no defense: the others lie on one another."""
    name, level = list(board["columns"].items())[-1]
    shares = {
        said["label"]: (clean(system), found)
        for said, system in rows
        if (found := worst(system, level))
    }
    heights = itertools.cycle((2, -9))
    for label, (without, under) in shares.items():
        x, y = without.percent, under.percent
        beaten = any(
            one.percent <= x and two.percent <= y and (one.percent, two.percent) != (x, y)
            for one, two in shares.values()
        )
        color = COLORS[5] if beaten else COLORS[0]
        low, high = under.interval or (y, y)
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
    ax.set_ylabel(f"capped WER % under the worst attack tried, {name}")
    ax.set_ylim(0, 103)
    ax.set_xlim(0, 1.15 * max(without.percent for without, _ in shares.values()))


if __name__ == "__main__":
    plainly(main)

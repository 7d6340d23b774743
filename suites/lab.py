"""What the suites have in common: rows and columns of a table, measured cell by cell.

A suite is a grid of (recognizer, defense) rows and attack columns. It runs column by column, writes
each batch of utterances as it is done, and the same command goes on where it was stopped. Suites
share one folder, so a cell that stands in two tables is measured once.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from melmoat.bench.cell import Cell, grid
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.cli.endings import plain_errors, resumable
from melmoat.cli.progress import bar

HOME = Path(__file__).parents[1]

# Levels of the flooding that level_sweep.py chose on held-out training speakers.
LEVEL = 0.1
STFT_LEVEL = 0.1

EOT = "l2 20 dB, EOT 5"
COLUMNS = {  # with the paper's names of what they stand for
    "benign": "none",
    "l2 20 dB": "pgd:norm=snr,db=20,steps=100",  # l2 1.5
    "l2 23.5 dB": "pgd:norm=snr,db=23.5,steps=100",  # l2 1.0
    "l2 29.5 dB": "pgd:norm=snr,db=29.5,steps=100",  # l2 0.5
    "linf 20 dB": "pgd:norm=linf,db=20,steps=100",  # linf 0.01
    "linf 26 dB": "pgd:norm=linf,db=26,steps=100",  # linf 0.005
    "l2 20 dB, 250 it.": "pgd:norm=snr,db=20,steps=250",
    EOT: "pgd:norm=snr,db=20,steps=100,eot=5",  # only where the row says that it is stochastic
}


@dataclass(frozen=True)
class Row:
    """One line of a table: a recognizer behind a defense.

    Args:
        stochastic: whether the attack that averages its loss over draws (EOT) applies.
        paper: the paper's WER by column, where it gives one.
    """

    label: str
    model: str
    defense: str
    stochastic: bool = False
    paper: Mapping[str, float] = field(default_factory=dict)

    def faces(self, column: str) -> bool:
        """Whether this column's attack makes sense against this row."""
        return self.stochastic or column != EOT

    def cell(self, attack: str, data: str) -> Cell:
        return grid([self.model], [self.defense], [attack], [data])[0]


def run(
    rows: Sequence[Row], name: str, about: str, limit: int, columns: Mapping[str, str] = COLUMNS
) -> None:
    """Measure what is missing, then write and print the table of all that is there."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", default="an4:an4/test", help="corpus spec (%(default)s)")
    parser.add_argument("--out", type=Path, default=HOME / "results" / "an4")
    parser.add_argument("--limit", type=int, default=limit, help="utterances (%(default)s)")
    parser.add_argument("--batch", type=int, default=8, help="attacked together (%(default)s)")
    labels = [row.label for row in rows]
    parser.add_argument("--rows", nargs="*", default=labels, choices=labels, metavar="ROW")
    parser.add_argument("--columns", nargs="*", default=[*columns], choices=columns, metavar="COL")
    given = parser.parse_args()
    with plain_errors():
        cells = {
            (row.label, column): row.cell(attack, given.data)
            for column, attack in columns.items()
            for row in rows
            if row.faces(column)
        }
        asked = [
            cell
            for (label, column), cell in cells.items()
            if label in given.rows and column in given.columns
        ]
        store = Store(given.out)
        found = complete(store, asked, name, given.limit, given.batch)
        measured = {where: found[cell.key] for where, cell in cells.items() if cell.key in found}
        table = markdown(rows, list(columns), measured)
        (given.out / f"{name}.md").write_text(table + "\n", encoding="utf-8")
        print(table)
        store.require_whole(asked)


def complete(
    store: Store, cells: Sequence[Cell], name: str, limit: int, batch: int = 8
) -> dict[str, dict[str, Any]]:
    """Run what is missing of ``cells``; the summaries of all cells of the folder, by key."""
    runner = Runner(store, batch, limit)
    store.begin(cells, {"batch": batch, "limit": limit})
    total = sum(len(runner.cuts(cell)) for cell in cells)
    with resumable("finished rows are", store.folder), bar(name, total) as tick:
        runner.run(cells, lambda cell, n: tick(n, f"{cell.defense} / {cell.attack}"))
    return {summary["key"]: summary for summary in store.summarise()}


def markdown(
    rows: Sequence[Row],
    columns: Sequence[str],
    measured: Mapping[tuple[str, str], Mapping[str, Any]],
) -> str:
    """WER in percent with 95 % bootstrap intervals over utterances; the paper's in italics.

    A cell with fewer utterances than others of the table says so.
    """
    most = max((cell["n"] for cell in measured.values()), default=0)
    lines = [f"| WER % | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        ours = [
            wer(measured.get((row.label, column)), most) if row.faces(column) else ""
            for column in columns
        ]
        lines.append(f"| {row.label} | {' | '.join(ours)} |")
        if row.paper:
            theirs = [f"*{row.paper[c]:.1f}*" if c in row.paper else "" for c in columns]
            lines.append(f"| *{row.label}, paper* | {' | '.join(theirs)} |")
    return "\n".join(lines)


def wer(cell: Mapping[str, Any] | None, most: int = 0) -> str:
    """A cell's WER with its interval, and its n below ``most``; "-" where it is not measured."""
    if cell is None or cell["wer"] is None:
        return "-"
    text = f"{cell['wer']:.1f}"
    if cell["wer_low"] is not None:
        text += f" [{cell['wer_low']:.1f}, {cell['wer_high']:.1f}]"
    return f"{text}, n = {cell['n']}" if cell["n"] < most else text

"""What the suites have in common: rows and columns of a table, measured cell by cell.

A suite is a grid of (recognizer, defense) rows and attack columns. It runs in the order that gives
whole columns first, writes each batch of utterances as it is done, and the same command goes on
where it was stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from melmoat.bench.cell import Cell, grid
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.cli.progress import bar

HOME = Path(__file__).parents[1]

LEVEL = 0.15  # of the flooding, chosen on held-out training speakers by level_sweep.py
STFT_LEVEL = 0.3  # of the flooding of STFT coefficients, likewise

PGD = "pgd:norm=snr,db={},steps=100"
BOX = "pgd:norm=linf,db={},steps=100"
COLUMNS = {
    "benign": "none",
    "l2 20 dB": PGD.format(20),
    "l2 23.5 dB": PGD.format(23.5),
    "l2 29.5 dB": PGD.format(29.5),
    "linf 20 dB": BOX.format(20),
    "linf 26 dB": BOX.format(26),
    "l2 20 dB, 250 it.": "pgd:norm=snr,db=20,steps=250",
}
ADAPTIVE = "l2 20 dB, 250 it."  # with 5 draws (EOT) where the defense is stochastic


@dataclass(frozen=True)
class Row:
    """One line of a table: a recognizer behind a defense."""

    label: str
    model: str
    defense: str
    stochastic: bool = False

    def cell(self, column: str, data: str) -> Cell:
        attack = COLUMNS[column]
        if column == ADAPTIVE and self.stochastic:
            attack += ",eot=5"
        (cell,) = grid([self.model], [self.defense], [attack], [data])
        return cell


def arguments(description: str, name: str, limit: int) -> argparse.Namespace:
    """The options that every suite takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default="an4:an4/test", help="corpus spec (%(default)s)")
    parser.add_argument("--out", type=Path, default=HOME / "results" / name)
    parser.add_argument("--limit", type=int, default=limit, help="utterances (%(default)s)")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rows", nargs="*", help="labels of the rows to run; all by default")
    parser.add_argument("--columns", nargs="*", help="columns to run; all by default")
    return parser.parse_args()


def run(rows: Sequence[Row], given: argparse.Namespace) -> None:
    """Measure what is missing, column by column, and print the table."""
    store = Store(given.out)
    runner = Runner(store, given.batch, given.limit)
    chosen = [row for row in rows if not given.rows or row.label in given.rows]
    columns = [column for column in COLUMNS if not given.columns or column in given.columns]
    cells = [row.cell(column, given.data) for column in columns for row in chosen]
    store.begin(cells, {"batch": given.batch, "limit": given.limit})
    with bar("suite", sum(len(runner.cuts(cell)) for cell in cells)) as tick:
        for cell in cells:
            runner.run([cell], lambda done, n: tick(n, f"{done.defense} / {done.attack}"))
            store.summarise()
    print(markdown(rows, {c["key"]: c for c in store.summarise()}, given.data))


def markdown(rows: Sequence[Row], found: Mapping[str, Mapping[str, object]], data: str) -> str:
    """The table, WER in percent with 95 % bootstrap intervals over utterances."""
    lines = [f"| defense | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for row in rows:
        cells = [_wer(found.get(row.cell(column, data).key)) for column in COLUMNS]
        lines.append(f"| {row.label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _wer(cell: Mapping[str, object] | None) -> str:
    if cell is None or cell["wer"] is None:
        return "-"
    return f"{cell['wer']:.1f} [{cell['wer_low']:.1f}, {cell['wer_high']:.1f}]"

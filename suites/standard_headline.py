"""The README's tables of the standard: those of the leaderboard, with fewer columns.

    python suites/standard_headline.py

Reads results/standard and writes headline.md there.
"""

from __future__ import annotations

from entries import ENTRIES
from lab import plainly

from melmoat.report.standing import Standing, standard_boards
from melmoat.report.tables import rate_text
from melmoat.standard.entries import read_entries
from melmoat.standard.figures import CLEAN

LEVELS = (CLEAN, "l2 60 dB", "l2 50 dB", "l2 40 dB", "l2 30 dB")


def main() -> None:
    text = table()
    (ENTRIES / "headline.md").write_text(text, encoding="utf-8")
    print(text, end="")


def table() -> str:
    """The tables, each under its heading; texts that are normalised otherwise have their own."""
    parts = []
    for board in standard_boards(read_entries(ENTRIES)):
        head = f"{board.title}, {board.utterances} utterances: capped {board.metric} %"
        if board.normaliser:
            head += f", texts normalised by {board.normaliser}"
        columns = ["place", "system", *LEVELS, "verdict"]
        rule = "|---" * len(columns) + "|"
        lines = ["| " + " | ".join(columns) + " |", rule, *map(line, board.rows)]
        parts.append("\n".join([head, "", *lines]) + "\n")
    return "\n".join(parts)


def line(row: Standing) -> str:
    """One system; a dash where a level was not needed."""
    rates = [rate_text(row.capped(level), row.interval(level), row.result.n) for level in LEVELS]
    cells = [row.place, row.said.label, *rates, row.result.verdict]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    plainly(main)

"""The README's table of the standard: the leaderboard's first corpus, with fewer columns.

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
    (ENTRIES / "headline.md").write_text(table(), encoding="utf-8")
    print(table(), end="")


def table() -> str:
    """The table under its heading."""
    board = standard_boards(read_entries(ENTRIES))[0]
    head = f"{board.title}, {board.utterances} utterances: capped {board.metric} %"
    columns = ["place", "system", *LEVELS, "verdict"]
    lines = [head, "", "| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += [line(row) for row in board.rows]
    return "\n".join(lines) + "\n"


def line(row: Standing) -> str:
    """One system; a dash where a level was not needed."""
    rates = [rate_text(row.capped(level), row.interval(level), row.result.n) for level in LEVELS]
    cells = [row.place, row.said.label, *rates, row.result.verdict]
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    plainly(main)

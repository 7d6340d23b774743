"""The measured runs of this repository as one table, docs/leaderboard.md and .html.

python tools/leaderboard.py
"""

import argparse
from pathlib import Path

from melmoat.cli.endings import plain_errors
from melmoat.report.leaderboard import write_leaderboard

HOME = Path(__file__).parents[1]

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HOME / "results", help="folder of runs")
    parser.add_argument("--out", type=Path, default=HOME / "docs" / "leaderboard")
    given = parser.parse_args()
    with plain_errors():
        print(*write_leaderboard(given.results, given.out), sep="\n")

"""The measured runs of this repository as one table, docs/leaderboard.md and .html.

python tools/leaderboard.py
"""

import argparse
import sys
from pathlib import Path

from melmoat.errors import MelmoatError
from melmoat.report.leaderboard import write_leaderboard

HOME = Path(__file__).parents[1]
MADE_BY = "python tools/leaderboard.py"

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HOME / "results", help="folder of runs")
    parser.add_argument("--out", type=Path, default=HOME / "docs" / "leaderboard")
    given = parser.parse_args()
    try:
        made = write_leaderboard([given.results], given.out, MADE_BY, "`results/`")
        print(*made, sep="\n")
    except MelmoatError as error:
        sys.exit(f"error: {error}")

"""The leaderboard, docs/leaderboard.md and .html: the standard's entries, and all measured runs.

python tools/leaderboard.py
"""

import argparse
import sys
from pathlib import Path

from melmoat.errors import MelmoatError
from melmoat.report.leaderboard import write_leaderboard
from melmoat.report.standing import standard_boards
from melmoat.standard.entries import read_entries

HOME = Path(__file__).parents[1]
MADE_BY = "python tools/leaderboard.py"
ENTRIES = "standard"  # folder of the standard's entries under results

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HOME / "results", help="folder of runs")
    parser.add_argument("--out", type=Path, default=HOME / "docs" / "leaderboard")
    given = parser.parse_args()
    try:
        judged = standard_boards(read_entries(given.results / ENTRIES))
        made = write_leaderboard(
            [given.results], given.out, MADE_BY, "`results/`", judged, f"../results/{ENTRIES}"
        )
        print(*made, sep="\n")
    except MelmoatError as error:
        sys.exit(f"error: {error}")

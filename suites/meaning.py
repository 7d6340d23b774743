"""How much of the meaning transcripts keep, beside the word error rate, for some rows of a run.

    python suites/meaning.py results/libri --system None --system RS

The rows without a word error are the references themselves: their distance to other references is
what no relation is. The table is written beside the run's others, as meaning.md. It needs the extra
semantic and the package with the weights (docs/reading-a-run.md).
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from lab import plainly

from melmoat.analysis.meaning import meanings
from melmoat.analysis.results import Result, read_results
from melmoat.report.meaning import meaning_cells
from melmoat.semantic import load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--system", action="append", required=True)
    asked = parser.parse_args()
    read = [result for result in read_results(asked.run) if result.rows]
    results = [r for system in asked.system for r in read if r.system_name == system]
    largest = max(results, key=lambda result: len(result.rows), default=None)
    perfect = [] if largest is None else [without_errors(largest)]
    found = meanings([*perfect, *results], asked.run, load)
    lines = ["| system | attack | n | WER % | capped | distance | others |", "|---" * 7 + "|"]
    for meaning in found:
        lines.append(f"| {' | '.join([meaning.system, meaning.attack, *meaning_cells(meaning)])} |")
    (asked.run / "meaning.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def without_errors(result: Result) -> Result:
    """A cell whose transcripts are the references."""
    rows = {}
    for name, row in result.rows.items():
        words = row["counts"]["adversarial"]["words"][1]
        counts = {"adversarial": {"words": [0, words], "chars": [0, 0]}}
        rows[name] = {**row, "adversarial": row["reference"], "counts": counts}
    labels = {"system": "(the references)", "attack": "-"}
    return replace(result, rows=rows, labels=labels)


if __name__ == "__main__":
    plainly(main)

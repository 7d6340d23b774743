"""The WER of each attacked cell of a run, and the same with the errors of each utterance capped.

    python suites/capped.py results/libri

An utterance then counts at most as many errors as it has words, so inserted words alone do not rank
systems. The table is written beside the run's others, as capped.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from lab import plainly

from melmoat.analysis.results import Result, read_results
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.report.tables import interval_text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    folder = parser.parse_args().run
    attacked = [r for r in read_results(folder) if r.rows and r.cell.attack != "none"]
    lines = ["| system | attack | n | WER % | capped |", "|---|---|---|---|---|"]
    lines += [line(result) for result in attacked]
    (folder / "capped.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


def line(result: Result) -> str:
    edits, words = result.errors("adversarial")
    capped = [min(pair) for pair in zip(edits, words, strict=True)]
    shown = " | ".join(percent(wrong, words) for wrong in (edits, capped))
    cell = result.cell
    return f"| {cell.model} / {cell.defense} | {cell.attack} | {len(words)} | {shown} |"


def percent(edits: Sequence[float], words: Sequence[float]) -> str:
    return f"{rate(edits, words):.1f} {interval_text(bootstrap(edits, words))}".rstrip()


if __name__ == "__main__":
    plainly(main)

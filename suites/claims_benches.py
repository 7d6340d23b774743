"""The paper's eight claims on every bench of this project, in one table.

    python suites/claims_benches.py

Each is the difference of two WERs on the same utterances, with its paired bootstrap interval over
utterances, as claims.py has it. A bench's own name of a row or column stands in ``BENCHES``; what
it did not measure is "-".
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import libri_table1
import libri_table3
import paper_table1
import paper_table3
import whisper_table
from claims import Claim, verdict
from lab import EOT as AN4_EOT
from lab import HOME, plainly
from paper_numbers import EOT, WEAK
from paper_numbers import L2 as STRONG

from melmoat.analysis.results import Result, compare, read_results
from melmoat.bench.suite import Suite
from melmoat.errors import MelmoatError

CLAIMS = [
    Claim("MG-MDNF helps", ("MG-MDNF", STRONG), ("None", STRONG), -35.5),
    Claim("Flooding beats resynthesis alone", ("MG-MDNF", STRONG), ("MG", STRONG), -31.8),
    Claim("Flooding beats RS where attacks are strong", ("MG-MDNF", STRONG), ("RS", STRONG), -18.2),
    Claim("RS is at least as good where they are weak", ("MG-MDNF", WEAK), ("RS", WEAK), 1.0),
    Claim("Shaped noise beats flat", ("MG-MDNF", STRONG), ("MG-MDNF unshaped", STRONG), -11.6),
    Claim("EOT breaks more", ("MG-MDNF", EOT), ("MG-MDNF", STRONG), 10.9),
    Claim("WG alone is robust", ("WG", STRONG), ("None", STRONG), -48.7),
    Claim("Flooding helps STFT", ("STFT-flood", STRONG), ("STFT", STRONG), -26.3),
]


@dataclass(frozen=True)
class Bench:
    """Where a bench's rows are, and its own names of the columns.

    Args:
        suites: the tables that define its rows and columns.
    """

    folder: str
    suites: tuple[Suite, ...]
    columns: Mapping[str, str]


BENCHES = {
    "DeepSpeech2, AN4": Bench(
        "an4",
        (paper_table1.SUITE, paper_table3.SUITE),
        {STRONG: "l2 20 dB", WEAK: "l2 29.5 dB", EOT: AN4_EOT},
    ),
    "phoneme CTC, LibriSpeech": Bench("libri", (libri_table1.SUITE, libri_table3.SUITE), {}),
    "Whisper tiny.en, LibriSpeech, untuned, flat noise": Bench(
        "whisper", (whisper_table.SUITE,), {}
    ),
}


def side(bench: Bench, measured: Mapping[object, Result], row: str, column: str) -> Result | None:
    """What ``bench`` has of this row and column; None where it has nothing."""
    name = bench.columns.get(column, column)
    for suite in bench.suites:
        cell = suite.cells().get((row, name))
        if cell in measured and measured[cell].rows:
            return measured[cell]
    return None


def found(bench: Bench, measured: Mapping[object, Result], claim: Claim) -> str:
    """A claim's difference on a bench, and what follows."""
    ours, other = (side(bench, measured, *which) for which in (claim.ours, claim.other))
    if ours is None or other is None:
        return "-"
    made = compare(ours, other, {}).difference
    if made is None:
        return "-"
    shared = len(ours.rows.keys() & other.rows.keys())
    interval = f"{made.points:+.1f} [{made.low:+.1f}, {made.high:+.1f}]"
    return f"{interval}, n = {shared}: {verdict(made, claim.paper)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=HOME / "results")
    given = parser.parse_args()
    rows = {
        name: {result.cell: result for result in read_results(given.results / bench.folder)}
        for name, bench in BENCHES.items()
    }
    if not any(rows.values()):
        raise MelmoatError(f"{given.results}: no run of these benches")
    lines = [
        f"| claim | paper | {' | '.join(BENCHES)} |",
        "|---" * (len(BENCHES) + 2) + "|",
        *(
            f"| {claim.text} | {claim.paper:+.1f} | "
            + " | ".join(found(bench, rows[name], claim) for name, bench in BENCHES.items())
            + " |"
            for claim in CLAIMS
        ),
    ]
    table = "\n".join(lines) + "\n"
    (given.results / "claims.md").write_text(table, encoding="utf-8")
    print(table)


if __name__ == "__main__":
    plainly(main)

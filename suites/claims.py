"""The paper's claims, held against what the suites have measured.

    python suites/claims.py --data an4:an4/test

Each claim is the difference of two WERs on the same utterances, with its paired bootstrap interval.
It holds where the whole interval lies on the side of zero that the paper's difference has, fails
where it lies on the other, and is open where it spans zero (the paper's size may be outside even
so). A starred p-value stands even among all the claims measured. Cells of which one has more
utterances are compared on what both have. A second table has what CW took for a success.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import baselines
import effort
import gradients
import paper_table1
import paper_table2
import paper_table3
from baselines import UNAWARE
from effort import APGD
from lab import COLUMNS, EOT, HOME, plainly

from melmoat.analysis.results import Result, compare, read_results, speakers_of
from melmoat.errors import MelmoatError
from melmoat.metrics.intervals import Difference
from melmoat.report.findings import comparison_cells

L2, MIDDLE, WEAK, LONG = "l2 20 dB", "l2 23.5 dB", "l2 29.5 dB", "l2 20 dB, 250 it."
LINF, WEAK_LINF = "linf 20 dB", "linf 26 dB"
PGD, FAINT, CW, CONFIRMED = "20 dB", "40 dB", paper_table2.CW, paper_table2.CONFIRMED
TABLES = [paper_table1.ROWS, paper_table3.ROWS, gradients.ROWS, baselines.ROWS]
ROWS = {row.label: row for rows in TABLES for row in rows}
ATTACKS = {
    **COLUMNS,
    **paper_table2.COLUMNS,
    **effort.SUITE.columns,
    **baselines.SUITE.columns,
}
MP3, OPUS = "MP3", "Opus, quality 0.05"


@dataclass(frozen=True)
class Claim:
    """``text``: WER of (row, column) minus WER of another is ``paper`` points there.

    ``target``: of the WER against the attacker's text, which resistance raises.
    """

    text: str
    ours: tuple[str, str]
    other: tuple[str, str]
    paper: float | None = None
    target: bool = False


CLAIMS = [
    Claim("MG costs on clean speech", ("MG", "benign"), ("None", "benign"), 3.8),
    Claim("MG-MDNF costs on clean speech", ("MG-MDNF", "benign"), ("None", "benign"), 5.0),
    Claim("MG alone helps, a little", ("MG", L2), ("None", L2), -3.7),
    Claim("MG-MDNF helps, l2", ("MG-MDNF", L2), ("None", L2), -35.5),
    Claim("MG-MDNF helps, middling l2", ("MG-MDNF", MIDDLE), ("None", MIDDLE), -33.8),
    Claim("MG-MDNF helps, weak l2", ("MG-MDNF", WEAK), ("None", WEAK), -26.1),
    Claim("MG-MDNF helps, linf", ("MG-MDNF", LINF), ("None", LINF), -49.8),
    Claim("MG-MDNF helps, weak linf", ("MG-MDNF", WEAK_LINF), ("None", WEAK_LINF), -49.2),
    Claim("RS helps, l2", ("RS", L2), ("None", L2), -17.3),
    Claim("RS helps, middling l2", ("RS", MIDDLE), ("None", MIDDLE), -24.2),
    Claim("RS helps, weak l2", ("RS", WEAK), ("None", WEAK), -27.1),
    Claim("RS helps, linf", ("RS", LINF), ("None", LINF), -22.1),
    Claim("RS helps, weak linf", ("RS", WEAK_LINF), ("None", WEAK_LINF), -47.1),
    Claim("flooding beats resynthesis alone, l2", ("MG-MDNF", L2), ("MG", L2), -31.8),
    Claim(
        "flooding beats resynthesis alone, middling l2", ("MG-MDNF", MIDDLE), ("MG", MIDDLE), -32.9
    ),
    Claim("flooding beats resynthesis alone, weak l2", ("MG-MDNF", WEAK), ("MG", WEAK), -32.0),
    Claim("flooding beats resynthesis alone, linf", ("MG-MDNF", LINF), ("MG", LINF), -38.4),
    Claim(
        "flooding beats resynthesis alone, weak linf",
        ("MG-MDNF", WEAK_LINF),
        ("MG", WEAK_LINF),
        -42.8,
    ),
    Claim("flooding beats RS where strong, l2", ("MG-MDNF", L2), ("RS", L2), -18.2),
    Claim("flooding beats RS where strong, linf", ("MG-MDNF", LINF), ("RS", LINF), -27.7),
    Claim("flooding beats RS, middling l2", ("MG-MDNF", MIDDLE), ("RS", MIDDLE), -9.6),
    Claim("flooding beats RS, weak linf", ("MG-MDNF", WEAK_LINF), ("RS", WEAK_LINF), -2.1),
    Claim("RS is at least as good where weak", ("MG-MDNF", WEAK), ("RS", WEAK), 1.0),
    Claim("shaping helps, l2", ("MG-MDNF", L2), ("MG-MDNF unshaped", L2), -11.6),
    Claim("shaping harms, linf", ("MG-MDNF", LINF), ("MG-MDNF unshaped", LINF), 39.8),
    Claim("EOT breaks more", ("MG-MDNF", EOT), ("MG-MDNF", L2), 10.9),
    Claim("EOT breaks more, unshaped", ("MG-MDNF unshaped", EOT), ("MG-MDNF unshaped", L2)),
    Claim("EOT breaks more, STFT-flood", ("STFT-flood", EOT), ("STFT-flood", L2)),
    Claim("250 iterations break more, no defense", ("None", LONG), ("None", L2)),
    Claim("250 iterations break more, RS", ("RS", LONG), ("RS", L2)),
    Claim("no defense has more errors than RS, 250 iterations", ("None", LONG), ("RS", LONG)),
    Claim("250 iterations break more, MG", ("MG", LONG), ("MG", L2)),
    Claim("250 iterations break more, MG-MDNF", ("MG-MDNF", LONG), ("MG-MDNF", L2)),
    Claim(
        "250 iterations break more, MG-MDNF unshaped",
        ("MG-MDNF unshaped", LONG),
        ("MG-MDNF unshaped", L2),
    ),
    Claim("250 iterations break more, WGN control", ("WGN control", LONG), ("WGN control", L2)),
    Claim("250 iterations break more, STFT", ("STFT", LONG), ("STFT", L2)),
    Claim("250 iterations break more, STFT-flood", ("STFT-flood", LONG), ("STFT-flood", L2)),
    Claim("the exact gradient breaks more than a redrawn one", ("exact", L2), ("resampled", L2)),
    Claim(
        "the exact gradient breaks more than a redrawn one, weak l2",
        ("exact", WEAK),
        ("resampled", WEAK),
    ),
    Claim("the exact gradient breaks more than none of it", ("exact", L2), ("bpda", L2)),
    Claim("AutoPGD breaks more than PGD, no defense", ("None", APGD), ("None", L2)),
    Claim("AutoPGD breaks more than PGD, RS", ("RS", APGD), ("RS", L2)),
    Claim("AutoPGD breaks more than PGD, MG-MDNF", ("MG-MDNF", APGD), ("MG-MDNF", L2)),
    Claim("MP3 has more errors than no defense under BPDA", (MP3, L2), ("None", L2)),
    Claim("Opus has more errors than no defense under BPDA", (OPUS, L2), ("None", L2)),
    Claim("8 bits have more errors than no defense under BPDA", ("8 bits", L2), ("None", L2)),
    Claim("the unaware attack breaks more than BPDA, MP3", (MP3, UNAWARE), (MP3, L2)),
    Claim("the unaware attack breaks more than BPDA, Opus", (OPUS, UNAWARE), (OPUS, L2)),
    Claim("the unaware attack breaks more than BPDA, 8 bits", ("8 bits", UNAWARE), ("8 bits", L2)),
    Claim("STFT alone does something", ("STFT", L2), ("None", L2)),
    Claim("flooding helps STFT", ("STFT-flood", L2), ("STFT", L2), -26.3),
    Claim("noise in training alone does as much", ("WGN control", L2), ("MG-MDNF", L2)),
    Claim(
        "MG-MDNF has more errors than noise in training alone, weak linf",
        ("MG-MDNF", WEAK_LINF),
        ("WGN control", WEAK_LINF),
    ),
    Claim("WG alone is robust", ("WG", L2), ("None", L2), -48.7),
    Claim("WG has more errors than no defense, middling l2", ("WG", MIDDLE), ("None", MIDDLE)),
    Claim("WG has more errors than no defense, weak l2", ("WG", WEAK), ("None", WEAK)),
    Claim("WG has more errors than no defense, linf", ("WG", LINF), ("None", LINF)),
    Claim("WG has more errors than no defense, weak linf", ("WG", WEAK_LINF), ("None", WEAK_LINF)),
    Claim("250 iterations break more, WG", ("WG", LONG), ("WG", L2)),
    Claim("250 iterations break more, WG-MDNF", ("WG-MDNF", LONG), ("WG-MDNF", L2)),
    Claim("EOT breaks more, WG", ("WG", EOT), ("WG", L2)),
    Claim("EOT breaks more, WG-MDNF", ("WG-MDNF", EOT), ("WG-MDNF", L2)),
    Claim("WG is robust through its own noise", ("WG", L2), ("WG, noise fixed", L2)),
    Claim("flooding adds to WG", ("WG-MDNF", L2), ("WG", L2)),
    Claim("flooding has more errors than WG alone, weak l2", ("WG-MDNF", WEAK), ("WG", WEAK)),
    Claim("flooding has more errors than WG alone, linf", ("WG-MDNF", LINF), ("WG", LINF)),
    Claim(
        "flooding has more errors than WG alone, weak linf",
        ("WG-MDNF", WEAK_LINF),
        ("WG", WEAK_LINF),
    ),
    Claim("targeted PGD of 40 dB costs without a defense", ("None", FAINT), ("None", "benign")),
    Claim("targeted PGD of 40 dB costs through RS", ("RS", FAINT), ("RS", "benign")),
    Claim("MG keeps PGD from its target", ("MG", PGD), ("None", PGD), target=True),
    Claim("flooding keeps PGD from it further", ("MG-MDNF", PGD), ("MG", PGD), target=True),
    Claim("RS keeps PGD from its target", ("RS", PGD), ("None", PGD), target=True),
    Claim("MG keeps CW from its target", ("MG", CW), ("None", CW), 22.2, target=True),
    Claim("flooding keeps CW from it further", ("MG-MDNF", CW), ("MG", CW), 16.7, target=True),
    Claim("RS keeps CW from its target", ("RS", CW), ("None", CW), 33.3, target=True),
    Claim("belief in one draw holds CW back", ("MG-MDNF", CW), ("MG-MDNF", CONFIRMED), target=True),
]


def verdict(found: Difference, paper: float | None) -> str:
    if found.low <= 0 <= found.high:
        other = paper is not None and not found.low <= paper <= found.high
        return "open, but not of the paper's size" if other else "open"
    if paper is None:
        return "yes" if found.points > 0 else "no"
    return "holds" if found.points * paper > 0 else "fails"


def successes(results: Iterable[tuple[str, str, Result]]) -> list[str]:
    """What CW took for a success, beside what the judge heard."""
    lines = ["| row | attack | utterances | CW saw its target | the judge heard it |"]
    lines.append("|---|---|---|---|---|")
    for row, column, result in results:
        if result.rows:
            saw = sum(made["first"] is not None for made in result.rows.values())
            heard = sum(made["reached"] for made in result.rows.values())
            lines.append(f"| {row} | {column} | {len(result.rows)} | {saw} | {heard} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="an4:an4/test")
    parser.add_argument("--results", type=Path, default=HOME / "results" / "an4")
    given = parser.parse_args()
    measured = {result.cell: result for result in read_results(given.results)}

    def side(row: str, column: str) -> Result:
        cell = ROWS[row].cell(ATTACKS[column], given.data)
        return measured.get(cell, Result(cell, "", {}))

    pairs = [(side(*claim.ours), side(*claim.other)) for claim in CLAIMS]
    among = sum(bool(a.rows.keys() & b.rows.keys()) for a, b in pairs)
    if not among:
        raise MelmoatError(f"{given.results}: nothing of this was measured on {given.data}")
    lines = [
        "| claim | paper | ours, points [95 %] | over speakers | p | n | |",
        "|---|---|---|---|---|---|---|",
    ]
    for claim, (ours, other) in zip(CLAIMS, pairs, strict=True):
        speakers = speakers_of(given.data, ours.rows)
        made = compare(ours, other, speakers, among=among, target=claim.target)
        said = verdict(made.difference, claim.paper) if made.difference else "not measured"
        paper = "" if claim.paper is None else f"{claim.paper:+.1f}"
        points, by_speaker, p, n, _ = comparison_cells(made)
        what = ", target WER" if claim.target else ""
        lines.append(
            f"| {claim.text}{what} | {paper} | {points} | {by_speaker} | {p} | {n} | {said} |"
        )
    tables = {
        "claims.md": lines,
        "cw_successes.md": successes(
            (row.label, column, side(row.label, column))
            for row in paper_table2.ROWS
            for column in (CW, CONFIRMED)
        ),
    }
    for name, found in tables.items():
        table = "\n".join(found) + "\n"
        (given.results / name).write_text(table, encoding="utf-8")
        print(table)


if __name__ == "__main__":
    plainly(main)

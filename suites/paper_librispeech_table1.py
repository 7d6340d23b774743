"""The paper's Table 1 with its own networks, speech and budgets (docs/paper.md).

    melmoat bench --suite paper_librispeech_table1 --device cuda --out runs/paper/tables

Gradients are exact, through the noise that was drawn, but for the resampled row: it redraws the
noise in the backward pass, as the paper's toolkit probably did, and should be nearest to the paper.
"""

from dataclasses import replace

from paper_librispeech import COLUMNS, UTTERANCES, flooded, melgan, published, speech, tuned
from paper_numbers import (
    EOT,
    L2,
    LINF,
    MDNF_EOT,
    RS,
    TABLE1,
    UNSHAPED_L2,
    UNSHAPED_LINF,
    in_columns,
)

from melmoat.bench.suite import Suite, TableRow

PAPER = {label: in_columns(COLUMNS, wers) for label, wers in TABLE1.items()}
FLOODED = flooded("MG-MDNF", PAPER["MG-MDNF"] | {EOT: MDNF_EOT})
ROWS = [
    TableRow("None", published(), "none", paper=PAPER["None"]),
    TableRow("RS", published(), RS, paper=PAPER["RS"]),
    TableRow("WGN control", tuned("wgn"), "none"),
    TableRow("MG", tuned("mg"), f"resynth:vocoder={melgan()}", paper=PAPER["MG"]),
    FLOODED,
    replace(FLOODED, label="MG-MDNF, resampled", defense=f"{FLOODED.defense},gradient=resampled"),
    flooded("MG-MDNF unshaped", {L2: UNSHAPED_L2, LINF: UNSHAPED_LINF}),
    TableRow("STFT", published(), "stft"),
    flooded("STFT-flood"),
]

SUITE = Suite(
    "paper_librispeech_table1",
    ROWS,
    COLUMNS,
    frozenset({EOT}),
    limit=UTTERANCES,
    data=speech("test-clean"),
)

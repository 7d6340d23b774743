"""The paper's Table 3 with its own networks, speech and budgets (docs/paper.md).

    melmoat bench --suite paper_librispeech_table3 --device cuda --out runs/paper/tables

Gradients are exact, through the noise that was drawn, the generator's own included. The resampled
rows redraw it in the backward pass, as the paper's toolkit probably did.
"""

from paper_librispeech import (
    COLUMNS,
    UTTERANCES,
    flooded,
    parallel_wavegan,
    speech,
    tuned,
)
from paper_numbers import EOT, L2, WG_L2

from melmoat.bench.suite import Suite, TableRow

PLAIN = f"resynth:vocoder={parallel_wavegan()}"
FLOODED = flooded("WG-MDNF")

ROWS = [
    TableRow("WG", tuned("wg"), PLAIN, stochastic=True, paper={L2: WG_L2}),
    TableRow("WG, resampled", tuned("wg"), f"{PLAIN},gradient=resampled", stochastic=True),
    TableRow("WG, noise fixed", tuned("wg"), f"{PLAIN},noise=fixed"),
    FLOODED,
]

SUITE = Suite(
    "paper_librispeech_table3",
    ROWS,
    COLUMNS,
    frozenset({EOT}),
    limit=UTTERANCES,
    data=speech("test-clean"),
)

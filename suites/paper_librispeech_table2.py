"""The paper's Table 2 with its own networks, speech and budgets (docs/paper.md).

    melmoat bench --suite paper_librispeech_table2 --device cuda --out runs/paper/tables

Columns are those of paper_table2.py. The paper's CW column is of 246 utterances.
"""

from paper_librispeech import UTTERANCES, flooded, melgan, published, speech, tuned
from paper_numbers import RS
from paper_table2 import COLUMNS, CONFIRMED, rows_of

from melmoat.bench.suite import Suite

FLOODED = flooded("MG-MDNF")
ROWS = rows_of(
    {
        "None": (published(), "none"),
        "RS": (published(), RS),
        "MG": (tuned("mg"), f"resynth:vocoder={melgan()}"),
        "MG-MDNF": (FLOODED.model, FLOODED.defense),
    }
)

SUITE = Suite(
    "paper_librispeech_table2",
    ROWS,
    COLUMNS,
    frozenset({CONFIRMED}),
    limit=UTTERANCES,
    data=speech("test-clean"),
)

"""The paper's Table 2 on LibriSpeech: MelGAN defenses against targeted PGD and CW.

    melmoat bench --suite suites/libri_table2.py --out results/libri

As paper_table2.py, on the rows and the speech of libri_table1.py.
"""

from lab import run
from libri import DATA, FOLDER, MODEL, RS, SHAPED, TUNED, paper
from paper_table2 import COLUMNS, CONFIRMED, CW

from melmoat.bench.suite import Suite, TableRow

NAMES = list(COLUMNS)
ROWS = [
    TableRow(
        "None",
        MODEL,
        "none",
        paper=paper(NAMES, 11.0, 102.5, 91.4, 58.9, 106.3),
        target={CW: 66.7},
    ),
    TableRow(
        "RS",
        MODEL,
        RS,
        stochastic=True,
        paper=paper(NAMES, 15.7, 72.9, 24.9, 18.1, 43.8),
        target={CW: 100.0},
    ),
    TableRow(
        "MG",
        TUNED,
        "resynth:vocoder=melgan-lab",
        paper=paper(NAMES, 14.8, 88.9, 74.1, 50.5, 93.8),
        target={CW: 88.9},
    ),
    TableRow(
        "MG-MDNF",
        TUNED,
        SHAPED,
        stochastic=True,
        paper=paper(NAMES, 16.0, 54.0, 29.2, 19.9, 56.3),
        target={CW: 105.6},
    ),
]

SUITE = Suite("libri_table2", ROWS, COLUMNS, frozenset({CONFIRMED}), limit=20, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

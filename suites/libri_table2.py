"""The paper's Table 2 on LibriSpeech: MelGAN defenses against targeted PGD and CW.

    melmoat bench --suite suites/libri_table2.py --out results/libri

As paper_table2.py, on the rows and the speech of libri_table1.py. It has the SNRs in dB only, not
the ratios.
"""

from lab import run
from libri import DATA, FOLDER, MG, MODEL, SHAPED, TUNED
from paper_numbers import RS
from paper_table2 import COLUMNS, CONFIRMED, rows_of

from melmoat.bench.suite import Suite

ROWS = rows_of(
    {
        "None": (MODEL, "none"),
        "RS": (MODEL, RS),
        "MG": (TUNED, MG),
        "MG-MDNF": (TUNED, SHAPED),
    }
)

IN_DB = {name: attack for name, attack in COLUMNS.items() if not name.startswith("ratio")}
SUITE = Suite("libri_table2", ROWS, IN_DB, frozenset({CONFIRMED}), limit=20, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

"""The paper's Table 3 on LibriSpeech: Parallel WaveGAN defenses against untargeted PGD.

    melmoat bench --suite suites/libri_table3.py --out results/libri

As libri_table1.py. The generator takes noise, so both rows are stochastic. Gradients are exact,
through all noise that was drawn; the EOT column averages the loss over 5 draws.
"""

from lab import run
from libri import COLUMNS, DATA, FOLDER, LEVEL, WG_TUNED
from paper_numbers import EOT, L2, WG_L2

from melmoat.bench.suite import Suite, TableRow

ROWS = [
    TableRow("WG", WG_TUNED, "resynth:vocoder=pwg-lab", stochastic=True, paper={L2: WG_L2}),
    TableRow(
        "WG-MDNF",
        WG_TUNED,
        f"mdnf:vocoder=pwg-lab,level={LEVEL},shaping=libri",
        stochastic=True,
    ),
]

SUITE = Suite("libri_table3", ROWS, COLUMNS, frozenset({EOT}), limit=20, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

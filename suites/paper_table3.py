"""The paper's Table 3 on the lab bench: Parallel WaveGAN defenses against untargeted PGD.

    melmoat bench --suite suites/paper_table3.py --out results/an4

Gradients are exact, through the noise that was drawn, the generator's own included; the last column
averages the loss over 5 draws (EOT). Both rows are stochastic, since the generator takes noise.
"""

from lab import COLUMNS, DATA, EOT, LEVEL, run
from paper_numbers import WG_L2

from melmoat.bench.suite import Suite, TableRow

ROWS = [
    TableRow(
        "WG", "ds2-an4-wg", "resynth:vocoder=pwg-lab", stochastic=True, paper={"l2 20 dB": WG_L2}
    ),
    TableRow("WG, noise fixed", "ds2-an4-wg", "resynth:vocoder=pwg-lab,noise=fixed"),
    TableRow(
        "WG-MDNF",
        "ds2-an4-wg",
        f"mdnf:vocoder=pwg-lab,level={LEVEL},shaping=an4",
        stochastic=True,
    ),
]

SUITE = Suite("paper_table3", ROWS, COLUMNS, frozenset({EOT}), limit=20, data=DATA, choose="spread")

if __name__ == "__main__":
    run(__file__)

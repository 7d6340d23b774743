"""The paper's Table 3 on the lab bench: Parallel WaveGAN defenses against untargeted PGD.

    python suites/paper_table3.py --data an4:an4/test

The generator's noise input is drawn anew in every pass, so WG is stochastic without flooding.
"""

from lab import LEVEL, Row, arguments, run

ROWS = [
    Row("None", "ds2-an4", "none"),
    Row("WG", "ds2-an4-wg", "resynth:vocoder=pwg-lab", stochastic=True),
    Row(
        "WG-MDNF",
        "ds2-an4-wg",
        f"mdnf:vocoder=pwg-lab,level={LEVEL},shaping=an4",
        stochastic=True,
    ),
]

if __name__ == "__main__":
    run(ROWS, arguments(__doc__, "paper_table3", limit=20))

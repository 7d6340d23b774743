"""The paper's Table 3 on the lab bench: Parallel WaveGAN defenses against untargeted PGD.

    python suites/paper_table3.py --data an4:an4/test

The generator's noise input is drawn anew in every pass, so WG is stochastic without flooding.
"""

from lab import LEVEL, Row, run

ROWS = [
    Row("None", "ds2-an4", "none", paper={"benign": 11.0, "l2 20 dB": 87.9}),
    Row(
        "WG",
        "ds2-an4-wg",
        "resynth:vocoder=pwg-lab",
        eot=True,
        paper={"l2 20 dB": 39.2},
    ),
    Row(
        "WG-MDNF",
        "ds2-an4-wg",
        f"mdnf:vocoder=pwg-lab,level={LEVEL},shaping=an4",
        eot=True,
    ),
]

if __name__ == "__main__":
    run(ROWS, "paper_table3", __doc__, limit=20)

"""The paper's Table 1 on the lab bench: MelGAN defenses against untargeted PGD.

    melmoat bench --suite suites/paper_table1.py --out results/an4

Gradients are exact, through the noise that was drawn; the last column averages the loss over
5 draws (EOT), as does every column of RS, whose loss is that of its 5 votes.
"""

from lab import COLUMNS, DATA, EOT, LEVEL, STFT_LEVEL, run

from melmoat.bench.suite import Suite, TableRow

MDNF = f"mdnf:vocoder=melgan-lab,level={LEVEL}"


def paper(*wers: float) -> dict[str, float]:
    return dict(zip(COLUMNS, wers, strict=False))


ROWS = [
    TableRow("None", "ds2-an4", "none", paper=paper(11.0, 87.9, 76.0, 57.1, 115.4, 96.3)),
    TableRow(
        "RS",
        "ds2-an4",
        "rs:snr=15,votes=5,level=file",  # its loss is that of five draws already
        paper=paper(15.7, 70.6, 51.8, 30.0, 93.3, 49.2),
    ),
    TableRow("WGN control", "ds2-an4-wgn", "none"),
    TableRow(
        "MG",
        "ds2-an4-mg",
        "resynth:vocoder=melgan-lab",
        paper=paper(14.8, 84.2, 75.1, 63.0, 104.0, 89.9),
    ),
    TableRow(
        "MG-MDNF",
        "ds2-an4-mg",
        f"{MDNF},shaping=an4",
        stochastic=True,
        paper=paper(16.0, 52.4, 42.2, 31.0, 65.6, 47.1) | {EOT: 63.3},
    ),
    TableRow(
        "MG-MDNF unshaped",
        "ds2-an4-mg",
        f"{MDNF},shaping=flat",
        stochastic=True,
        paper={"l2 20 dB": 64.0, "linf 20 dB": 25.8},
    ),
    TableRow("STFT", "ds2-an4", "stft"),
    TableRow("STFT-flood", "ds2-an4", f"stft-flood:level={STFT_LEVEL}", stochastic=True),
]

SUITE = Suite("paper_table1", ROWS, COLUMNS, frozenset({EOT}), limit=40, data=DATA, choose="spread")

if __name__ == "__main__":
    run(__file__)

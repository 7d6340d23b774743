"""The paper's Table 1 on the lab bench: MelGAN defenses against untargeted PGD.

    melmoat bench --suite suites/paper_table1.py --out results/an4

Gradients are exact, through the noise that was drawn; the last column averages the loss over
5 draws (EOT), as does every column of RS, whose loss is that of its 5 votes.
"""

from lab import COLUMNS, DATA, EOT, LEVEL, STFT_LEVEL, run
from paper_numbers import MDNF_EOT, RS, TABLE1, UNSHAPED_L2, UNSHAPED_LINF, in_columns

from melmoat.bench.suite import Suite, TableRow

MDNF = f"mdnf:vocoder=melgan-lab,level={LEVEL}"


ROWS = [
    TableRow("None", "ds2-an4", "none", paper=in_columns(COLUMNS, TABLE1["None"])),
    TableRow(
        "RS",
        "ds2-an4",
        RS,
        paper=in_columns(COLUMNS, TABLE1["RS"]),
    ),
    TableRow("WGN control", "ds2-an4-wgn", "none"),
    TableRow(
        "MG",
        "ds2-an4-mg",
        "resynth:vocoder=melgan-lab",
        paper=in_columns(COLUMNS, TABLE1["MG"]),
    ),
    TableRow(
        "MG-MDNF",
        "ds2-an4-mg",
        f"{MDNF},shaping=an4",
        stochastic=True,
        paper=in_columns(COLUMNS, TABLE1["MG-MDNF"]) | {EOT: MDNF_EOT},
    ),
    TableRow(
        "MG-MDNF unshaped",
        "ds2-an4-mg",
        f"{MDNF},shaping=flat",
        stochastic=True,
        paper={"l2 20 dB": UNSHAPED_L2, "linf 20 dB": UNSHAPED_LINF},
    ),
    TableRow("STFT", "ds2-an4", "stft"),
    TableRow("STFT-flood", "ds2-an4", f"stft-flood:level={STFT_LEVEL}", stochastic=True),
]

SUITE = Suite("paper_table1", ROWS, COLUMNS, frozenset({EOT}), limit=40, data=DATA, choose="spread")

if __name__ == "__main__":
    run(__file__)

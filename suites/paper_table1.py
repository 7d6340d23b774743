"""The paper's Table 1 on the lab bench: MelGAN defenses against untargeted PGD.

    python suites/paper_table1.py --data an4:an4/test

Gradients are exact, through the noise that was drawn; the last column is the adaptive attack.
"""

from lab import LEVEL, STFT_LEVEL, Row, arguments, run

MDNF = f"mdnf:vocoder=melgan-lab,level={LEVEL}"
ROWS = [
    Row("None", "ds2-an4", "none"),
    Row("WGN control", "ds2-an4-wgn", "none"),
    Row("MG", "ds2-an4-mg", "resynth:vocoder=melgan-lab"),
    Row("MG-MDNF", "ds2-an4-mg", f"{MDNF},shaping=an4", stochastic=True),
    Row("MG-MDNF unshaped", "ds2-an4-mg", f"{MDNF},shaping=flat", stochastic=True),
    Row("STFT", "ds2-an4", "stft"),
    Row("STFT-flood", "ds2-an4", f"stft-flood:level={STFT_LEVEL}", stochastic=True),
    Row("RS", "ds2-an4", "rs:snr=15,votes=5"),  # its five votes are five draws already
]

if __name__ == "__main__":
    run(ROWS, arguments(__doc__, "paper_table1", limit=40))

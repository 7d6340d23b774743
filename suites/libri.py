"""What the suites of the LibriSpeech bench have in common: the paper's own budgets, and the speech.

The suites share one folder, so a cell that stands in two tables is measured once.
"""

from collections.abc import Sequence

DATA = "tsv:librispeech/dev-clean-mp3,shortest=2,longest=8"
FOLDER = "libri"
UTTERANCES = 40  # of a fixed shuffle, so a larger --limit adds to them

MODEL = "hama:conformer"
TUNED = "hama-mg"  # for melgan-lab
RS = "rs:snr=15,votes=5,level=file"

# Levels of the flooding that libri_levels.py chose on training speakers that nothing learned from.
LEVEL = 0.1
STFT_LEVEL = 0.1
MDNF = f"mdnf:vocoder=melgan-lab,level={LEVEL},shaping="
SHAPED = f"{MDNF}libri"

PGD = "pgd:norm={},eps={},steps=100"
L2, MIDDLE, WEAK, LINF, WEAK_LINF = "l2 1.5", "l2 1.0", "l2 0.5", "linf 0.01", "linf 0.005"
EOT = f"{L2}, EOT 5"
COLUMNS = {
    "benign": "none",
    L2: PGD.format("l2", 1.5),
    MIDDLE: PGD.format("l2", 1.0),
    WEAK: PGD.format("l2", 0.5),
    LINF: PGD.format("linf", 0.01),
    WEAK_LINF: PGD.format("linf", 0.005),
    EOT: f"{PGD.format('l2', 1.5)},eot=5",  # only where the row says that it is stochastic
    "noise l2 1.5": "noise:norm=l2,eps=1.5",  # no attack: what such a perturbation does by its size
}


def paper(columns: Sequence[str], *wers: float) -> dict[str, float]:
    """The paper's WER in the first of ``columns``."""
    return dict(zip(columns, wers, strict=False))

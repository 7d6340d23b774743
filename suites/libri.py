"""What the suites of the LibriSpeech bench have in common: the paper's own budgets, and the speech.

The suites share one folder, so a cell that stands in two tables is measured once.
"""

from lab import run

DATA = "tsv:librispeech/dev-clean-mp3,shortest=2,longest=8"
FOLDER = "libri"
UTTERANCES = 40  # of a fixed shuffle, so a larger --limit adds to them

MODEL = "hama:conformer"
RS = "rs:snr=15,votes=5,level=file"

EOT = "l2 1.5, EOT 5"
PGD = "pgd:norm={},eps={},steps=100"
COLUMNS = {
    "benign": "none",
    "l2 1.5": PGD.format("l2", 1.5),
    "l2 1.0": PGD.format("l2", 1.0),
    "l2 0.5": PGD.format("l2", 0.5),
    "linf 0.01": PGD.format("linf", 0.01),
    "linf 0.005": PGD.format("linf", 0.005),
    EOT: f"{PGD.format('l2', 1.5)},eot=5",  # only where the row says that it is stochastic
    "noise l2 1.5": "noise:norm=l2,eps=1.5",  # no attack: what such a perturbation does by its size
}

__all__ = ["COLUMNS", "DATA", "EOT", "FOLDER", "MODEL", "PGD", "RS", "UTTERANCES", "run"]

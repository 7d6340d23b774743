"""Adversarial training on LibriSpeech, beside no defense and smoothing.

    melmoat bench --suite suites/libri_at.py --out results/libri

hama-at is attacked as hama:conformer is, and by AutoPGD: trained robustness can be robustness to
the attack of the training. Cells that stand in Table 1, too, are measured once. Needs the extra
hama.
"""

from lab import run
from libri import DATA, FOLDER, MODEL, UTTERANCES
from paper_numbers import L2, NOISE, RS, SAME_SIZE, UNTARGETED, WEAK

from melmoat.bench.suite import Suite, TableRow

TRAINED = "hama-at"

ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("RS", MODEL, RS),
    TableRow("Adversarial training", TRAINED, "none"),
]
COLUMNS = {
    "benign": "none",
    NOISE: SAME_SIZE,
    WEAK: UNTARGETED[WEAK],
    L2: UNTARGETED[L2],
    f"{L2}, AutoPGD": "apgd:norm=l2,eps=1.5,steps=100",
}

SUITE = Suite("libri_at", ROWS, COLUMNS, frozenset(), limit=UTTERANCES, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

"""Denoisers before the recognizer on LibriSpeech, beside no defense: do they purify?

    melmoat bench --suite suites/libri_purifiers.py --out results/libri

Attacks go through the denoiser, with its exact gradient. Cells that stand in Table 1, too, are
measured once. Needs the extras hama and denoisers, and the packages with the denoisers' weights.
"""

from lab import run
from libri import DATA, FOLDER, MODEL, UTTERANCES
from paper_numbers import L2, NOISE, SAME_SIZE, UNTARGETED, WEAK

from melmoat.bench.suite import Suite, TableRow

ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("DTLN", MODEL, "denoise:dtln"),
    TableRow("GTCRN", MODEL, "denoise:gtcrn"),
]
LOUD = "white noise, 10 dB"
COLUMNS = {
    "benign": "none",
    LOUD: "noise:db=10",
    NOISE: SAME_SIZE,
    WEAK: UNTARGETED[WEAK],
    L2: UNTARGETED[L2],
}

SUITE = Suite("libri_purifiers", ROWS, COLUMNS, frozenset(), limit=UTTERANCES, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

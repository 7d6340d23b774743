"""Lyra v2 before the recognizer on LibriSpeech, beside no defense: what do few codes take away?

    melmoat bench --suite suites/libri_codecs.py --out results/libri

A codec has no exact gradient. Each stand-in for it is a row: attackers take the one that breaks
most. Cells that stand in Table 1, too, are measured once. Needs the extra hama, and
`melmoat fetch lyra`. The number of codebooks was chosen on training speakers that nothing learned
from.
"""

from lab import run
from libri import DATA, FOLDER, MODEL, UTTERANCES
from paper_numbers import L2, NOISE, SAME_SIZE, UNTARGETED, WEAK

from melmoat.bench.suite import Suite, TableRow

LYRA = "neural-codec:lyra,quantizers=16"

ROWS = [
    TableRow("None", MODEL, "none"),
    TableRow("Lyra, straight", MODEL, LYRA),
    TableRow("Lyra, soft", MODEL, f"{LYRA},gradient=soft"),
    TableRow("Lyra, BPDA", MODEL, f"{LYRA},gradient=bpda"),
]
COLUMNS = {
    "benign": "none",
    NOISE: SAME_SIZE,
    WEAK: UNTARGETED[WEAK],
    L2: UNTARGETED[L2],
}

SUITE = Suite("libri_codecs", ROWS, COLUMNS, frozenset(), limit=UTTERANCES, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

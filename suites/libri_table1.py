"""The paper's Table 1 on LibriSpeech: MelGAN defenses against untargeted PGD, its own budgets.

    melmoat bench --suite suites/libri_table1.py --out results/libri

The recognizer hears phonemes, and a decoder finds the words in them. Attacks follow the loss of the
phonemes; errors are counted in words and in phonemes. Gradients are exact, through the noise that
was drawn; the EOT column averages the loss over 5 draws, as does every column of RS, whose loss is
that of its 5 votes. Needs the extra hama.
"""

from lab import run
from libri import (
    COLUMNS,
    DATA,
    EOT,
    FOLDER,
    L2,
    LINF,
    MDNF,
    MODEL,
    RS,
    SHAPED,
    STFT_LEVEL,
    TUNED,
    UTTERANCES,
    paper,
)

from melmoat.bench.suite import Suite, TableRow

NAMES = list(COLUMNS)
ROWS = [
    TableRow("None", MODEL, "none", paper=paper(NAMES, 11.0, 87.9, 76.0, 57.1, 115.4, 96.3)),
    TableRow("RS", MODEL, RS, paper=paper(NAMES, 15.7, 70.6, 51.8, 30.0, 93.3, 49.2)),
    TableRow(
        "MG",
        TUNED,
        "resynth:vocoder=melgan-lab",
        paper=paper(NAMES, 14.8, 84.2, 75.1, 63.0, 104.0, 89.9),
    ),
    TableRow(
        "MG-MDNF",
        TUNED,
        SHAPED,
        stochastic=True,
        paper=paper(NAMES, 16.0, 52.4, 42.2, 31.0, 65.6, 47.1, 63.3),
    ),
    TableRow(
        "MG-MDNF unshaped", TUNED, f"{MDNF}flat", stochastic=True, paper={L2: 64.0, LINF: 25.8}
    ),
    TableRow("STFT", MODEL, "stft"),
    TableRow("STFT-flood", MODEL, f"stft-flood:level={STFT_LEVEL}", stochastic=True),
]

SUITE = Suite("libri_table1", ROWS, COLUMNS, frozenset({EOT}), limit=UTTERANCES, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

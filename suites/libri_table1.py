"""The paper's Table 1 on LibriSpeech: MelGAN defenses against untargeted PGD, its own budgets.

    melmoat bench --suite suites/libri_table1.py --out results/libri

The recognizer hears phonemes, and a decoder finds the words in them. Attacks follow the loss of the
phonemes; errors are counted in words and in phonemes. Gradients are exact, through the noise that
was drawn; the EOT column averages the loss over 5 draws, as does every column of RS, whose loss is
that of its 5 votes. The WGN control is fine-tuned as for MG, without resynthesis: what noise in
training does alone. Needs the extra hama.
"""

from lab import run
from libri import (
    COLUMNS,
    DATA,
    FOLDER,
    MDNF,
    MG,
    MODEL,
    NOISY,
    SHAPED,
    STFT_LEVEL,
    TUNED,
    UTTERANCES,
)
from paper_numbers import (
    EOT,
    L2,
    LINF,
    MDNF_EOT,
    RS,
    TABLE1,
    UNSHAPED_L2,
    UNSHAPED_LINF,
    in_columns,
)

from melmoat.bench.suite import Suite, TableRow

PAPER = {label: in_columns(COLUMNS, wers) for label, wers in TABLE1.items()}
ROWS = [
    TableRow("None", MODEL, "none", paper=PAPER["None"]),
    TableRow("RS", MODEL, RS, paper=PAPER["RS"]),
    TableRow("WGN control", NOISY, "none"),
    TableRow("MG", TUNED, MG, paper=PAPER["MG"]),
    TableRow("MG-MDNF", TUNED, SHAPED, stochastic=True, paper=PAPER["MG-MDNF"] | {EOT: MDNF_EOT}),
    TableRow(
        "MG-MDNF unshaped",
        TUNED,
        f"{MDNF}flat",
        stochastic=True,
        paper={L2: UNSHAPED_L2, LINF: UNSHAPED_LINF},
    ),
    TableRow("STFT", MODEL, "stft"),
    TableRow("STFT-flood", MODEL, f"stft-flood:level={STFT_LEVEL}", stochastic=True),
]

SUITE = Suite("libri_table1", ROWS, COLUMNS, frozenset({EOT}), limit=UTTERANCES, data=DATA)

if __name__ == "__main__":
    run(__file__, FOLDER)

"""The paper's Table 1 on LibriSpeech: MelGAN defenses against untargeted PGD, its own budgets.

    melmoat bench --suite suites/libri_table1.py --out results/libri
"""

from libri import COLUMNS, DATA, EOT, FOLDER, MODEL, RS, UTTERANCES, run

from melmoat.bench.suite import Suite, TableRow


def paper(*wers: float) -> dict[str, float]:
    return dict(zip(COLUMNS, wers, strict=False))


ROWS = [
    TableRow("None", MODEL, "none", paper=paper(11.0, 87.9, 76.0, 57.1, 115.4, 96.3)),
    TableRow("RS", MODEL, RS, paper=paper(15.7, 70.6, 51.8, 30.0, 93.3, 49.2)),
    TableRow("STFT", MODEL, "stft"),
]

SUITE = Suite(
    "libri_table1", ROWS, COLUMNS, frozenset({EOT}), limit=UTTERANCES, data=DATA
)

if __name__ == "__main__":
    run(__file__, FOLDER)

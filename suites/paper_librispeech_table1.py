"""The paper's Table 1 with its own networks, speech and budgets (docs/paper.md).

    melmoat bench --suite paper_librispeech_table1 --device cuda --out runs/paper/tables

Gradients are exact, through the noise that was drawn, but for the resampled row: it redraws the
noise in the backward pass, as the paper's toolkit probably did, and should be nearest to the paper.
"""

from dataclasses import replace

from paper_librispeech import COLUMNS, EOT, UTTERANCES, flooded, melgan, published, speech, tuned

from melmoat.bench.suite import Suite, TableRow


def paper(*wers: float) -> dict[str, float]:
    return dict(zip(COLUMNS, wers, strict=False))


FLOODED = flooded("MG-MDNF", paper(16.0, 52.4, 42.2, 31.0, 65.6, 47.1) | {EOT: 63.3})
ROWS = [
    TableRow("None", published(), "none", paper=paper(11.0, 87.9, 76.0, 57.1, 115.4, 96.3)),
    TableRow(
        "RS",
        published(),
        "rs:snr=15,votes=5,level=file",  # its loss is that of five draws already
        paper=paper(15.7, 70.6, 51.8, 30.0, 93.3, 49.2),
    ),
    TableRow("WGN control", tuned("wgn"), "none"),
    TableRow(
        "MG",
        tuned("mg"),
        f"resynth:vocoder={melgan()}",
        paper=paper(14.8, 84.2, 75.1, 63.0, 104.0, 89.9),
    ),
    FLOODED,
    replace(FLOODED, label="MG-MDNF, resampled", defense=f"{FLOODED.defense},gradient=resampled"),
    flooded("MG-MDNF unshaped", {"l2 1.5": 64.0, "linf 0.01": 25.8}),
    TableRow("STFT", published(), "stft"),
    flooded("STFT-flood"),
]

SUITE = Suite(
    "paper_librispeech_table1",
    ROWS,
    COLUMNS,
    frozenset({EOT}),
    limit=UTTERANCES,
    data=speech("test-clean"),
)

"""What the gallery plays: ten utterances of the speech that ships, three systems, five attacks.

python tools/gallery.py
"""

from melmoat.bench.suite import Suite, TableRow

TARGET = "STOP"

SUITE = Suite(
    "gallery",
    [
        TableRow("No defense", "ds2-an4", "none"),
        TableRow("Randomized smoothing", "ds2-an4", "rs:snr=15,votes=5", stochastic=True),
        TableRow("Noise flooding (MDNF)", "ds2-an4-mg", "mdnf:level=0.1", stochastic=True),
    ],
    {
        "No attack": "none",
        "Random noise, 20 dB": "noise:norm=snr,db=20",
        "PGD, 30 dB": "pgd:norm=snr,db=30,steps=10",
        "PGD, 20 dB": "pgd:norm=snr,db=20,steps=10",
        "Targeted PGD, 15 dB": f"pgd:norm=snr,db=15,steps=30,target={TARGET}",
    },
    limit=10,
    choose="spread",
)

"""What more work, or a better search, gets an attacker: PGD against AutoPGD, which chooses its own
step lengths and keeps the best point.

    melmoat bench --suite effort --out results/an4
"""

from lab import COLUMNS, DATA, run
from paper_table1 import ROWS

from melmoat.bench.suite import Suite, TableRow

APGD = "AutoPGD, 100 it."

SUITE = Suite(
    "effort",
    [
        TableRow(row.label, row.model, row.defense)
        for row in ROWS
        if row.label in ("None", "RS", "MG-MDNF")
    ],
    {
        "PGD, 100 it.": COLUMNS["l2 20 dB"],
        "PGD, 250 it.": COLUMNS["l2 20 dB, 250 it."],
        APGD: "apgd:norm=snr,db=20,steps=100",
    },
    limit=40,
    data=DATA,
    choose="spread",
)

if __name__ == "__main__":
    run(__file__)

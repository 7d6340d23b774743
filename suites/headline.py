"""The README's table: a part of Table 1, whose cells it shares.

melmoat bench --suite headline --out results/an4
"""

from lab import COLUMNS, DATA, run
from paper_table1 import ROWS

from melmoat.bench.suite import Suite

SHOWN = ("benign", "noise 20 dB", "l2 29.5 dB", "l2 20 dB", "linf 20 dB")

SUITE = Suite(
    "headline",
    [row for row in ROWS if row.label in ("None", "RS", "MG", "MG-MDNF")],
    {column: COLUMNS[column] for column in SHOWN},
    limit=40,
    data=DATA,
    choose="spread",
)

if __name__ == "__main__":
    run(__file__)

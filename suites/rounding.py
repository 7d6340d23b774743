"""Defenses that round the samples: gradient descent against the choice of levels.

    python suites/rounding.py

Both attackers take BPDA, and have as many steps. AutoPGD moves every sample a little, and most of
that is rounded away. ``lattice`` chooses the samples that cross to another level.
"""

from lab import DATA, run

from melmoat.bench.suite import Suite, TableRow

WALKS = {"AutoPGD": "apgd", "lattice": "lattice"}
ATTACKS = {
    f"{db} dB, {name}": f"{walk}:db={db},steps=100"
    for db in (30, 20)
    for name, walk in WALKS.items()
}

SUITE = Suite(
    "rounding",
    [
        TableRow("8 bits", "ds2-an4", "quantize:gradient=bpda"),
        TableRow("mu-law, 6 bits", "ds2-an4", "mulaw:gradient=bpda"),
    ],
    {"benign": "none", **ATTACKS},
    limit=20,
    data=DATA,
    choose="spread",
)

if __name__ == "__main__":
    run(__file__, "rounding")

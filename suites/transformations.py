"""WaveGuard's transformations and their kin as defenses, attacked through themselves.

    python suites/transformations.py --column benign --column "noise 20 dB"
    python suites/transformations.py --column "PGD 20 dB" --column "PGD 20 dB, EOT 5" --limit 20

mu-law has no gradient of its own, so it is attacked straight through (BPDA).
"""

from lab import DATA, run

from melmoat.bench.suite import Suite, TableRow

PGD = "pgd:norm=snr,db=20,steps=50"
EOT = "PGD 20 dB, EOT 5"

SUITE = Suite(
    "transformations",
    [
        TableRow("None", "ds2-an4", "none"),
        TableRow("LPC, half noise", "ds2-an4", "lpc:noise=0.5", stochastic=True),
        TableRow("300 to 3400 Hz", "ds2-an4", "filter:low=300,high=3400"),
        TableRow("mean of 5", "ds2-an4", "smooth:width=5"),
        TableRow("compression", "ds2-an4", "compress"),
        TableRow("mu-law, 6 bits", "ds2-an4", "mulaw:gradient=bpda"),
    ],
    {
        "benign": "none",
        "noise 20 dB": "noise:norm=snr,db=20",
        "PGD 20 dB": PGD,
        EOT: f"{PGD},eot=5",
    },
    frozenset({EOT}),
    limit=40,
    data=DATA,
    choose="spread",
)

if __name__ == "__main__":
    run(__file__, "transformations")

"""Randomized smoothing of a recognizer that was trained on the noise: does it hold?

    melmoat bench --suite suites/smoothing.py --out results/smoothing

Every row is attacked through all of it: the loss of a smoothed row is that of its votes. In the EOT
column each step averages this over 5 draws of the votes. The level of the noise is that which
smoothing_levels.py chose on training speakers.
"""

from lab import COLUMNS, DATA, EOT, run

from melmoat.bench.suite import Suite, TableRow

NOISE_TRAINED = "ds2-an4-noise"
VOTES = "votes=5"
SNR = 10

ROWS = [
    TableRow("None", "ds2-an4", "none"),
    TableRow("RS, 15 dB", "ds2-an4", f"rs:snr=15,{VOTES}", stochastic=True),
    TableRow("Trained on noise", NOISE_TRAINED, "none"),
    TableRow(
        f"Trained on noise, RS, {SNR} dB", NOISE_TRAINED, f"rs:snr={SNR},{VOTES}", stochastic=True
    ),
]
NAMES = ("benign", "noise 20 dB", "l2 29.5 dB", "l2 20 dB", "linf 20 dB", EOT)
ASKED = {name: COLUMNS[name] for name in NAMES}

SUITE = Suite("smoothing", ROWS, ASKED, frozenset({EOT}), limit=40, data=DATA)

if __name__ == "__main__":
    run(__file__, "smoothing")

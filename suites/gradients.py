"""What an attacker loses who is not given the exact gradient of a stochastic defense.

    melmoat bench --suite suites/gradients.py --out results/an4

The defense and the judge are the same in every row. The attacker's backward pass goes through the
noise that was drawn (exact), through noise drawn anew (resampled, as some toolkits do), or straight
through (bpda).
"""

from lab import DATA, LEVEL, run

from melmoat.bench.suite import Suite, TableRow

MDNF = f"mdnf:vocoder=melgan-lab,level={LEVEL},shaping=an4,gradient="
ROWS = [TableRow(kind, "ds2-an4-mg", MDNF + kind) for kind in ("exact", "resampled", "bpda")]
COLUMNS = {
    "benign": "none",
    "l2 20 dB": "pgd:norm=snr,db=20,steps=100",
    "l2 29.5 dB": "pgd:norm=snr,db=29.5,steps=100",
}

SUITE = Suite("gradients", ROWS, COLUMNS, limit=40, data=DATA, choose="spread")

if __name__ == "__main__":
    run(__file__)

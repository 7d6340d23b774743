"""The paper's own budgets and the numbers that it reports, once for all benches.

Numbers are WER in percent, in the order of the columns of the paper's tables.
"""

from collections.abc import Iterable

PGD = "pgd:norm={},eps={},steps=100"
L2, MIDDLE, WEAK, LINF, WEAK_LINF = "l2 1.5", "l2 1.0", "l2 0.5", "linf 0.01", "linf 0.005"
UNTARGETED = {  # the columns of Tables 1 and 3
    "benign": "none",
    L2: PGD.format("l2", 1.5),
    MIDDLE: PGD.format("l2", 1.0),
    WEAK: PGD.format("l2", 0.5),
    LINF: PGD.format("linf", 0.01),
    WEAK_LINF: PGD.format("linf", 0.005),
}
EOT = f"{L2}, EOT 5"
MORE_DRAWS = f"{UNTARGETED[L2]},eot=5"
NOISE = "noise l2 1.5"
SAME_SIZE = "noise:norm=l2,eps=1.5"  # no attack: what such a perturbation does by its size

RS = "rs:snr=15,votes=5,level=file"  # the paper's smoothing; its loss is that of its five votes

TABLE1 = {
    "None": (11.0, 87.9, 76.0, 57.1, 115.4, 96.3),
    "RS": (15.7, 70.6, 51.8, 30.0, 93.3, 49.2),
    "MG": (14.8, 84.2, 75.1, 63.0, 104.0, 89.9),
    "MG-MDNF": (16.0, 52.4, 42.2, 31.0, 65.6, 47.1),
}
MDNF_EOT = 63.3  # MG-MDNF, l2 1.5, five draws
UNSHAPED_L2, UNSHAPED_LINF = 64.0, 25.8  # MG-MDNF with flat noise, l2 1.5 and linf 0.01
WG_L2 = 39.2  # WG, l2 1.5

TABLE2 = {  # benign (of Table 1), 20, 30, 40 dB, CW
    "None": (11.0, 102.5, 91.4, 58.9, 106.3),
    "RS": (15.7, 72.9, 24.9, 18.1, 43.8),
    "MG": (14.8, 88.9, 74.1, 50.5, 93.8),
    "MG-MDNF": (16.0, 54.0, 29.2, 19.9, 56.3),
}
CW_TARGET = {"None": 66.7, "RS": 100.0, "MG": 88.9, "MG-MDNF": 105.6}  # WER against the target


def in_columns(names: Iterable[str], wers: Iterable[float]) -> dict[str, float]:
    """The paper's numbers by the names that a bench gives to the same columns."""
    return dict(zip(names, wers, strict=False))

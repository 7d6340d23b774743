"""The paper's Figure 2: where in frequency a PGD attack puts its perturbation.

    melmoat train shaping --data an4:an4/train --out src/melmoat/assets/shaping/an4.json
    melmoat train shaping --data an4:an4/train --linear --out .../an4-linear.json
    melmoat train shaping --data tsv:librispeech/train-clean-5,shortest=2,longest=10 \\
        --model hama:conformer,decoder=phonemes --attack pgd:norm=l2,eps=1.5,steps=30 \\
        --out .../libri.json
    python suites/paper_figure2.py

Plots the shipped curves beside the authors' (LibriSpeech, published DeepSpeech2) and prints how far
they correlate after both are read at the same frequencies.
"""

from __future__ import annotations

import numpy as np
from lab import HOME

from melmoat.assets import asset
from melmoat.defenses.shaping import Curve, centres, load_curve
from melmoat.report.plots import curves
from melmoat.vocoders.mel import LAB_MEL, MelSpec

NAMES = ("an4", "an4-linear", "libri")
AUTHORS = """
 0.947 1.000 0.708 0.533 0.540 0.609 0.572 0.462 0.366 0.415 0.448 0.572 0.487 0.408 0.303
0.279 0.292 0.303 0.285 0.282 0.262 0.286 0.322 0.289 0.232 0.390 0.512 0.255 0.204 0.197 0.229
0.290 0.249 0.311 0.216 0.142 0.129 0.148 0.131 0.115 0.126 0.121 0.108 0.099 0.129 0.110 0.105
0.112 0.089 0.096 0.098 0.079 0.065 0.070 0.069 0.057 0.043 0.044 0.054 0.080 0.076 0.059 0.061
0.058 0.047 0.039 0.036 0.041 0.067 0.080 0.064 0.044 0.039 0.044 0.043 0.051 0.048 0.038 0.033
0.033
"""  # nmehlman/MDNF: 80 bands of the 22 050 Hz mel, 100 pairs of an l2 PGD attack


def main() -> None:
    theirs = Curve(tuple(centres(MelSpec())), tuple(map(float, AUTHORS.split())), {})
    ours = {name: load_curve(asset(f"shaping/{name}.json")) for name in NAMES}
    for name, curve in ours.items():
        pair = np.array([curve.at(LAB_MEL), theirs.at(LAB_MEL)])
        ranks = pair.argsort(1).argsort(1)
        pearson, spearman = np.corrcoef(pair)[0, 1], np.corrcoef(ranks)[0, 1]
        print(f"{name} and the authors': Pearson {pearson:.2f}, Spearman {spearman:.2f}")
    path = HOME / "results" / "paper_figure2.svg"
    curves(path, {**ours, "LibriSpeech, the authors'": theirs})
    print(f"wrote {path.relative_to(HOME)}")


if __name__ == "__main__":
    main()

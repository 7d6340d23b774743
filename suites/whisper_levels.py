"""The flooding's level for Whisper: benign WER against adversarial WER, on utterances of their own.

    python suites/whisper_levels.py --data tsv:CORPUS,shortest=8,longest=10

The suites of Whisper measure utterances of 3 to 8 s; these are longer, so none is both. The attack
is the weakest of its table, because the stronger ones leave no level anything to save.
"""

from __future__ import annotations

from lab import plainly
from level_sweep import arguments, sweep
from whisper_table import LINE, MODEL

ATTACK = LINE.format("l2", 0.5, 25)
LEVELS = (0.0, 0.1, 0.2, 0.4)
SERIES = {
    name: (MODEL, f"mdnf:level={{}},shaping=flat,vocoder={vocoder}", LEVELS)
    for name, vocoder in {"MG-MDNF": "melgan-lab", "Griffin-Lim-MDNF": "griffin-lim"}.items()
}


def main() -> None:
    given = arguments(__doc__, "whisper_levels", 8)
    sweep(given.out, SERIES, ATTACK, given.data, given.limit)


if __name__ == "__main__":
    plainly(main)

"""How loud the noise of smoothing is to be: benign against adversarial WER on training speakers.

    python suites/smoothing_levels.py --data an4:an4/train

The speakers are those that ds2-an4's card lists as held out: neither it nor ds2-an4-noise learned
from them. The attack follows the loss of the votes themselves. "Level" is the SNR in dB.
"""

from __future__ import annotations

from lab import plainly
from level_sweep import ATTACK, arguments, held_out, sweep
from smoothing import NOISE_TRAINED, VOTES

RS = "rs:snr={}," + VOTES
SERIES = {
    "ds2-an4": ("ds2-an4", RS, (15, 5)),
    NOISE_TRAINED: (NOISE_TRAINED, RS, (10, 5)),
}


def main() -> None:
    given = arguments(__doc__, "smoothing_levels", 12, "an4:an4/train")
    sweep(given.out, SERIES, ATTACK, held_out(given.data, "ds2-an4"), given.limit)


if __name__ == "__main__":
    plainly(main)

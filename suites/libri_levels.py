"""The flooding's level on LibriSpeech: benign against adversarial WER on held-out speakers.

    python suites/libri_levels.py --data tsv:librispeech/train-clean-5,shortest=2,longest=10

The speakers are those that hama-mg's card lists as held out from its fine-tuning (melgan-lab and
the shaping curve did hear them, without their texts). The attack is the weakest l2 one of the
tables, because the stronger ones leave no level anything to save.
"""

from __future__ import annotations

from lab import plainly
from level_sweep import arguments, held_out, sweep
from libri import MODEL, TUNED

ATTACK = "pgd:norm=l2,eps=0.5,steps=20"
SERIES = {
    "MG-MDNF shaped": (
        TUNED,
        "mdnf:vocoder=melgan-lab,level={},shaping=libri",
        (0.0, 0.1, 0.2, 0.3),
    ),
    "MG-MDNF unshaped": (TUNED, "mdnf:vocoder=melgan-lab,level={},shaping=flat", (0.1, 0.2)),
    "STFT-flood": (MODEL, "stft-flood:level={}", (0.0, 0.1, 0.2)),
}


def main() -> None:
    given = arguments(__doc__, "libri_levels", 10)
    sweep(given.out, SERIES, ATTACK, held_out(given.data, TUNED), given.limit)


if __name__ == "__main__":
    plainly(main)

"""The flooding's level on LibriSpeech: benign against adversarial WER on held-out speakers.

    python suites/libri_levels.py --data tsv:librispeech/train-clean-5,shortest=2,longest=10

The speakers are those that hama-mg's card lists as held out from its fine-tuning (melgan-lab and
the shaping curve did hear them, without their texts). The attack is the weakest l2 one of the
tables, because the stronger ones leave no level anything to save.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lab import HOME, plainly
from level_sweep import sweep
from libri import MODEL, TUNED

from melmoat.assets import asset
from melmoat.weights import read_header

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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=HOME / "results" / "libri_levels")
    parser.add_argument("--limit", type=int, default=10)
    given = parser.parse_args()
    speakers = read_header(asset(f"{TUNED}.safetensors"))["card"]["held_out_speakers"]
    sweep(given.out, SERIES, ATTACK, f"{given.data},speakers={'+'.join(speakers)}", given.limit)


if __name__ == "__main__":
    plainly(main)

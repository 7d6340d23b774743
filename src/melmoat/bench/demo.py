"""``melmoat demo``: the smallest run that shows what the project is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from melmoat.bench.cell import Cell, grid

UTTERANCES = 8
STEPS = 10
ATTACKS = (
    "none",
    "noise:norm=snr,db=20",
    f"pgd:norm=snr,db=30,steps={STEPS}",
    f"pgd:norm=snr,db=20,steps={STEPS}",
)
DEFENSES = ("none", "rs:snr=15,votes=5")


def cells(model: str) -> list[Cell]:
    """Benign, noise and two strengths of attack, undefended and smoothed."""
    return grid([model], DEFENSES, ATTACKS, ["demo"])


def story(summary: Sequence[Mapping[str, Any]], out: Path) -> str:
    """What the table means, in a few lines, and what to try next."""
    wer = {(c["defense"], c["attack"]): c["wer"] for c in summary}
    bare, smooth = (str(c) for c in dict.fromkeys(c["defense"] for c in summary))
    benign, noise, _, strong = dict.fromkeys(c["attack"] for c in summary)
    key = next(c["key"] for c in summary if (c["defense"], c["attack"]) == (bare, strong))
    return (
        f"At the same 20 dB SNR, random noise leaves {wer[bare, noise]:.0f} % WER and the crafted "
        f"perturbation {wer[bare, strong]:.0f} %; randomized smoothing brings that to "
        f"{wer[smooth, strong]:.0f} %, attacked through its own noise, and costs "
        f"{wer[smooth, benign] - wer[bare, benign]:+.0f} points on clean speech.\n"
        f"Listen: {out / 'audio' / key}/*.adversarial.flac beside *.clean.flac. Next: "
        "`melmoat attack YOUR.wav OUT.wav`, `melmoat bench --help`, `melmoat list`."
    )

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
SYSTEMS = (
    ("ds2-an4", "none"),
    ("ds2-an4", "rs:snr=15,votes=5"),
    ("ds2-an4-mg", "mdnf:level=0.1"),
)


def cells(model: str | None = None) -> list[Cell]:
    """The cells of the demo: no attack, noise and two attacks on three systems (undefended,
    smoothed, flooded with noise).

    ``model`` replaces all recognizers; it is not tuned for the defenses.
    """
    grids = [
        grid([model or recognizer], [defense], ATTACKS, ["demo"]) for recognizer, defense in SYSTEMS
    ]
    return [cell for system_cells in grids for cell in system_cells]


def story(summary: Sequence[Mapping[str, Any]], out: Path) -> str:
    """The meaning of the table in a few lines, and what to try next."""
    wer = {(c["defense"], c["attack"]): c["wer"] for c in summary}
    bare, smooth, flooded = dict.fromkeys(str(c["defense"]) for c in summary)
    benign, noise, _, strong = dict.fromkeys(c["attack"] for c in summary)
    key = next(c["key"] for c in summary if (c["defense"], c["attack"]) == (bare, strong))

    def cost(defense: str) -> str:
        return f"{wer[defense, benign] - wer[bare, benign]:+.0f}"

    return (
        f"At the same 20 dB SNR, random noise leaves {wer[bare, noise]:.0f} % WER and the crafted "
        f"perturbation {wer[bare, strong]:.0f} %. Attacked through their own noise, randomized "
        f"smoothing brings that to {wer[smooth, strong]:.0f} % and mel domain noise flooding to "
        f"{wer[flooded, strong]:.0f} %; on clean speech they cost {cost(smooth)} and "
        f"{cost(flooded)} points.\n"
        f"Listen: {out / 'audio' / key}/*.adversarial.flac beside *.clean.flac. Next: "
        "`melmoat attack YOUR.wav OUT.wav`, `melmoat bench --help`, `melmoat list`."
    )

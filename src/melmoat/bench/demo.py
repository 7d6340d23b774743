"""``melmoat demo``: the smallest run that shows what the project is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from melmoat.bench.cell import Cell, grid
from melmoat.bench.labels import Labels, of_suite

UTTERANCES = 8
STEPS = 10
ATTACKS = {
    "clean": "none",
    "noise 20 dB": "noise:norm=snr,db=20",
    "PGD 30 dB": f"pgd:norm=snr,db=30,steps={STEPS}",
    "PGD 20 dB": f"pgd:norm=snr,db=20,steps={STEPS}",
}
SYSTEMS = {
    "no defense": ("ds2-an4", "none"),
    "rs (smoothing)": ("ds2-an4", "rs:snr=15,votes=5"),
    "mdnf (flooding)": ("ds2-an4-mg", "mdnf:level=0.1"),
}


def cells(model: str | None = None) -> list[Cell]:
    """The cells of the demo: no attack, noise and two attacks on three systems (undefended,
    smoothed, flooded with noise).

    ``model`` replaces all recognizers; it is not tuned for the defenses.
    """
    grids = [
        grid([model or recognizer], [defense], list(ATTACKS.values()), ["demo"])
        for recognizer, defense in SYSTEMS.values()
    ]
    return [cell for system_cells in grids for cell in system_cells]


def labels(cells: Sequence[Cell]) -> dict[Cell, Labels]:
    """What the table of these cells, which are those of the demo, calls its rows and columns. Specs
    are too wide for a terminal of 80 columns."""
    return of_suite(dict(zip(cells, product(SYSTEMS, ATTACKS), strict=True)))


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
        f"Listen: {out / 'audio' / key}/*.adversarial.flac beside *.clean.flac.\n"
        f"Next: `melmoat report {out}`, `melmoat attack YOUR.wav OUT.wav`, `melmoat bench --help`, "
        "`melmoat list`."
    )

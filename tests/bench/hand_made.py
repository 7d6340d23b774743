"""Runs made by hand: what each attack does is given, not measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from melmoat.analysis.results import Result
from melmoat.bench.cell import Cell

WORDS = 10


def result(
    defense: str,
    attack: str,
    wer: float,
    n: int = 100,
    snr_db: float | None = 20.0,
    model: str = "ds2-an4",
    **changes: Any,
) -> Result:
    """A cell whose utterances have about ``wer`` percent errors: the same ones for the same WER.

    Benign transcripts differ from cell to cell in the last word of a tenth of the utterances, and
    without an attack from the judge's in as many.
    """
    level = np.random.default_rng(0).uniform(-1, 1, size=n)
    edits = np.clip(np.round(wer / 10 + level), 0, 30).astype(int)
    heard = np.random.default_rng(sum(attack.encode())).random((2, n)) < 0.1
    rows = {}
    for i in range(n):
        benign = "A B C D E F G H I " + ("K" if heard[0, i] else "J")
        judged = "A B C D E F G H I " + ("K" if heard[1, i] else "J")
        rows[f"u{i:03}"] = {
            "id": f"u{i:03}",
            "reference": "A B C D E F G H I J",
            "benign": benign,
            "adversarial": judged if attack == "none" else "X",
            "target": None,
            "counts": {
                "benign": {"words": [int(heard[0, i]), WORDS], "chars": [0, 19]},
                "adversarial": {"words": [int(edits[i]), WORDS], "chars": [0, 19]},
                "target": None,
            },
            "reached": bool(edits[i]),
            "snr_db": None if attack == "none" else snr_db,
            "linf": 0.0,
            "l2": 0.0,
            "steps": 100,
            "seconds": 0.5,
            **changes,
        }
    cell = Cell(model, defense, attack, "an4:test")
    return Result(cell, f"{defense}-{attack}", rows)


def run(defense: str, wers: Mapping[str, float], **options: Any) -> list[Result]:
    return [result(defense, attack, wer, **options) for attack, wer in wers.items()]

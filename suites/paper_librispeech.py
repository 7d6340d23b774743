"""The paper's own bench: published networks on LibriSpeech (docs/paper.md has all steps).

    python suites/paper_librispeech.py

chooses the levels of the flooding from the run of ``paper_librispeech_levels`` and writes them to
``runs/paper/levels.json``. The level of a series is that of the least adversarial WER among those
whose benign WER is at most 5 points above that of level 0.

What is downloaded lies in the folder of ``melmoat fetch``, what is trained in ``runs/paper``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lab import plainly
from paper_numbers import EOT, MORE_DRAWS, NOISE, SAME_SIZE, UNTARGETED

from melmoat.attacks import ATTACKS
from melmoat.bench.suite import Suite, TableRow, find
from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.fetching import where
from melmoat.runs import Run

HOME = Path("runs/paper")
LEVELS = HOME / "levels.json"
UTTERANCES = 500  # of 2,620 and 2,703

LEVEL_COLUMNS = {"benign": "none", "l2 1.5": "pgd:norm=l2,eps=1.5,steps=30"}
TRIED = (0.0, 0.01, 0.05, 0.1, 0.2, 0.3)
COSTS_AT_MOST = 5.0  # points of benign WER

COLUMNS = {  # EOT only where the row says that it is stochastic
    **UNTARGETED,
    "l2 1.5, 250 it.": "pgd:norm=l2,eps=1.5,steps=250",
    "l2 1.5, 500 it.": "pgd:norm=l2,eps=1.5,steps=500",
    EOT: MORE_DRAWS,
    NOISE: SAME_SIZE,
}


def passes(suite: Suite) -> dict[str, int]:
    """Forward and backward passes over one utterance that each row of a table costs, by label.

    The backward pass ends at the waveform. Transcribing for the judge is left out: it is two
    forward passes a cell.
    """
    attacks = {column: ATTACKS.build(attack) for column, attack in suite.columns.items()}
    cost = {}
    for row in suite.rows:
        votes = getattr(DEFENSES.build(row.defense), "votes", 1)
        faced = [attack for column, attack in attacks.items() if suite.faces(row, column)]
        each = [getattr(a, "evaluations", 0) * getattr(a, "eot", 1) for a in faced]
        cost[row.label] = votes * sum(each)
    return cost


def speech(part: str) -> str:
    """A part of LibriSpeech."""
    return f"librispeech:{where(part)}"


def published() -> str:
    """The recognizer as published. Its spectrograms were made by a librosa that reflects."""
    return f"deepspeech.pytorch:{where('deepspeech2-librispeech')},pad=reflect"


def tuned(name: str) -> str:
    """The recognizer, fine-tuned: ``mg``, ``wg``, or ``wgn``, the control."""
    return f"deepspeech2:{made(HOME / name / 'model.safetensors', 'Fine-tuning')}"


def melgan() -> str:
    return f"descriptinc-melgan:{where('melgan-multi-speaker')}"


def parallel_wavegan() -> str:
    return f"parallel_wavegan:{where('pwg-libritts')}"


def shaping() -> str:
    return str(made(HOME / "shaping.json", "The shaping curve"))


def made(path: Path, step: str) -> Path:
    """``path``, which a step of the page makes."""
    if not path.is_file():
        raise MelmoatError(
            f'{path} is missing here: do the step "{step}" of docs/paper.md first, in this folder'
        )
    return path


def series() -> dict[str, tuple[str, str]]:
    """Defenses that have a level: recognizer, and defense with a place for it."""
    through_melgan = f"mdnf:vocoder={melgan()},level={{}}"
    through_wavegan = f"mdnf:vocoder={parallel_wavegan()},level={{}}"
    plain = published()
    return {
        "MG-MDNF": (tuned("mg"), f"{through_melgan},shaping={shaping()}"),
        "MG-MDNF unshaped": (tuned("mg"), f"{through_melgan},shaping=flat"),
        "WG-MDNF": (tuned("wg"), f"{through_wavegan},shaping={shaping()}"),
        "STFT-flood": (plain, "stft-flood:level={}"),
    }


def level_rows() -> list[TableRow]:
    """A row for each level of each series."""
    return [
        TableRow(f"{name} {level:g}", model, defense.format(level))
        for name, (model, defense) in series().items()
        for level in TRIED
    ]


def flooded(name: str, paper: Mapping[str, float] | None = None) -> TableRow:
    """The row of a series, at its chosen level."""
    model, defense = series()[name]
    levels = json.loads(made(LEVELS, "The level").read_text(encoding="utf-8"))
    return TableRow(name, model, defense.format(levels[name]), stochastic=True, paper=paper or {})


def choose_level(wers: Mapping[float, tuple[float, float]]) -> float:
    """The level of the least adversarial WER whose benign WER is low enough.

    Args:
        wers: benign and adversarial WER in percent by level; level 0 is one of them.
    """
    most = wers[0.0][0] + COSTS_AT_MOST
    return min((level for level in wers if wers[level][0] <= most), key=lambda x: wers[x][1])


def levels_of(suite: Suite, folder: Path) -> dict[str, float]:
    """The chosen level of each series, from a finished run of its rows.

    Raises:
        MelmoatError: cells are missing.
    """
    summary: dict[str, dict[str, Any]] = {str(one["key"]): one for one in Run(folder).summary}
    cells = suite.cells()
    missing = [" / ".join(labels) for labels, cell in cells.items() if cell.key not in summary]
    if missing:
        raise MelmoatError(
            f"{folder} has no {missing[0]} ({len(missing)} missing): finish it first"
        )
    benign, attacked = LEVEL_COLUMNS
    return {
        name: choose_level(
            {
                level: (
                    summary[cells[f"{name} {level:g}", benign].key]["wer"],
                    summary[cells[f"{name} {level:g}", attacked].key]["wer"],
                )
                for level in TRIED
            }
        )
        for name in series()
    }


def main() -> None:
    found = levels_of(find("paper_librispeech_levels"), HOME / "levels")
    LEVELS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, level in found.items():
        print(f"{name}: {level:g}")
    print(f"wrote {LEVELS}")


if __name__ == "__main__":
    plainly(main)

"""The flooding's level: benign WER against adversarial WER on held-out training speakers.

    python suites/level_sweep.py --data an4:an4/train

The speakers are those that ds2-an4's card lists as held out: no recognizer here learned from them
(melgan-lab and the shaping curve did, without their texts), and nothing of the test set is seen.
Writes the trade-off as data and as a plot. The level that the tables use is that of the least
adversarial WER among those whose benign WER is at most 5 points above level 0's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lab import HOME, complete, plainly

from melmoat.assets import asset
from melmoat.bench.cell import Cell, grid
from melmoat.bench.store import Store
from melmoat.report.plots import trade_off
from melmoat.report.tables import wer
from melmoat.weights import read_header

ATTACK = "pgd:norm=snr,db=20,steps=30"
LEVELS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8)
SERIES = {
    "MG-MDNF shaped": ("ds2-an4-mg", "mdnf:vocoder=melgan-lab,level={},shaping=an4", LEVELS),
    "MG-MDNF unshaped": ("ds2-an4-mg", "mdnf:vocoder=melgan-lab,level={},shaping=flat", LEVELS[:5]),
    "STFT-flood": ("ds2-an4", "stft-flood:level={}", (0.0, 0.1, 0.2, 0.3, 0.5)),
}


Series = Mapping[str, tuple[str, str, Sequence[float]]]  # model, defense of ``{level}``, levels


def sweep(out: Path, series: Series, attack: str, data: str, limit: int) -> None:
    """Run what is missing; write the trade-off as data, as a table and as a plot."""
    store = Store(out)

    def cell(model: str, defense: str, attack: str) -> Cell:
        return grid([model], [defense], [attack], [data])[0]

    asked = [
        (name, level, {k: cell(model, spec.format(level), a) for k, a in columns})
        for name, (model, spec, levels) in series.items()
        for level in levels
        for columns in [(("benign", "none"), ("attacked", attack))]
    ]
    cells = [made for _, _, pair in asked for made in pair.values()]
    found = complete(store, cells, limit)
    points: dict[str, list[dict[str, Any]]] = {name: [] for name in series}
    for name, level, pair in asked:
        point = {kind: found[made.key] for kind, made in pair.items()}
        points[name].append({"level": level, **point})
    (out / "trade_off.json").write_text(json.dumps(points, indent=1) + "\n")
    trade_off(out / "trade_off.svg", points)
    table = markdown(points)
    (out / "trade_off.md").write_text(table + "\n", encoding="utf-8")
    print(table)


def arguments(about: str, folder: str, limit: int, data: str | None = None) -> argparse.Namespace:
    """The options of such a command: ``data``, which is needed if None, ``out`` and ``limit``."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", default=data, required=data is None)
    parser.add_argument("--out", type=Path, default=HOME / "results" / folder)
    parser.add_argument("--limit", type=int, default=limit)
    return parser.parse_args()


def held_out(data: str, weights: str) -> str:
    """The speakers of a corpus that the card of shipped weights lists as held out."""
    speakers = read_header(asset(f"{weights}.safetensors"))["card"]["held_out_speakers"]
    return f"{data},speakers={'+'.join(speakers)}"


def main() -> None:
    given = arguments(__doc__, "level_sweep", 16, "an4:an4/train")
    sweep(given.out, SERIES, ATTACK, held_out(given.data, "ds2-an4"), given.limit)


def markdown(series: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """WER in percent with 95 % bootstrap intervals over utterances, a line for each level."""
    heads = [f"{name}, benign | attacked" for name in series]
    lines = [f"| level | {' | '.join(heads)} |", "|---" * (1 + 2 * len(series)) + "|"]
    for level in sorted({point["level"] for points in series.values() for point in points}):
        cells = []
        for points in series.values():
            found: Mapping[str, Any] = next((p for p in points if p["level"] == level), {})
            cells += [wer(found.get(kind)) if found else "" for kind in ("benign", "attacked")]
        lines.append(f"| {level:g} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    plainly(main)

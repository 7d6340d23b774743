"""Which inner settings the standard's members have: tried on training speakers.

    python suites/standard_tuning.py
    python suites/standard_tuning.py --only linf

Run it in the folder that has the corpora. Every line is one attack on the same utterances of
training speakers, at a level that half of the words survive: the capped WER of what it made, and of
the worst of all lines so far. LOST is where the margin is cut (melmoat.attacks.path_margin). A line
takes minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from lab import HOME, plainly

from melmoat import attacks, data, defenses, models
from melmoat.attacks import search
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.metrics.errors import word_edits
from melmoat.models.base import Recognizer, as_written_by, transcribe

COUNT = 8
SEEDS = [1403689752, 923744234, 543137603, 162530972, 1830069102, 1449462471, 969516953, 588910322]
AVERAGING = "dual-averaging"
NOISE = "wgn:snr=15"
JUDGES = 10  # draws that a defense with noise is judged by
MARGIN = "apgd:db={db},steps=100,keep=errors,loss=margin"
FALLING = "pgd:db={db},steps=100,schedule=linear,keep=errors"
WALK = "pgd:db={db},steps=100,schedule=cosine,best=true,keep=errors"
LINES = [  # where the margin is cut, and the attack
    (1.0, "apgd:db={db},steps=100,keep=errors"),
    (1.0, MARGIN),
    (0.2, MARGIN),
    (0.05, MARGIN),
    (0.2, f"{WALK},step=0.1,momentum=1,random_start=true,loss=margin"),
    (0.2, f"{WALK},step=0.2,loss=margin"),
    (0.2, MARGIN.replace("100", "50")),
    (0.2, f"{MARGIN},random_start=true"),
    (0.2, "apgd:db={db},steps=50,keep=errors,stop=true,target=matched"),
    (0.2, f"{AVERAGING}:db={{db}},steps=100,keep=errors"),
    (0.2, f"{AVERAGING}:db={{db}},steps=100,keep=errors,loss=margin"),
]
OUT = HOME / "results" / "standard_tuning"

AN4 = "an4:an4/train,speakers=mjgk+mjhp+mkem+msct+mtje+mtxj"
LIBRI = "tsv:librispeech/train-clean-5,speakers=2136+226+2416+7312,shortest=2,longest=10"
BOX = "apgd:norm=linf,db={db},steps=100,keep=errors"
BOX_FALLING = FALLING.replace("pgd:", "pgd:norm=linf,")


@dataclass(frozen=True)
class System:
    """A system that is tried at one level, on a corpus of training speakers."""

    model: str
    db: float
    data: str = AN4
    defense: str = "none"

    @property
    def name(self) -> str:
        """Without a defense, the recognizer."""
        return self.model if self.defense == "none" else f"{self.model} / {self.defense}"


TRIALS = {  # systems, and lines: where the margin is cut, and the attack
    "l2": ([System("ds2-an4-noise", 30.0), System("ds2-an4-wg", 34.0)], LINES),
    "linf": (
        [System("ds2-an4-wg", 34.0), System("hama:conformer", 44.0, LIBRI)],
        [
            (0.2, BOX),
            (0.2, f"{BOX},loss=margin"),
            (0.2, BOX_FALLING),
            (0.2, f"{BOX},random_start=true"),
            (0.2, f"{BOX.replace('100', '50')},target=matched"),
            (0.2, BOX.replace("100", "50")),
            (0.2, BOX.replace("apgd", AVERAGING)),
        ],
    ),
    "noise": (
        [
            System("ds2-an4-noise", 25.0, AN4, NOISE),
            System("hama:conformer", 30.0, LIBRI, NOISE),
        ],
        [
            *[(0.2, f"apgd:db={{db}},steps=100,keep=errors,eot={n}") for n in (1, 2, 4)],
            *[(0.2, f"{AVERAGING}:db={{db}},steps=100,keep=errors,eot={n}") for n in (1, 2)],
            (0.2, MARGIN),
            (0.2, MARGIN.replace("apgd", AVERAGING)),
            (0.2, FALLING),
            (0.2, FALLING.replace("schedule=linear,", "")),
            (0.2, f"{FALLING},eot=2"),
            (0.2, f"{FALLING},loss=margin"),
        ],
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=TRIALS, nargs="*", default=list(TRIALS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    OUT.mkdir(parents=True, exist_ok=True)
    for name in given.only:
        systems, lines = TRIALS[name]
        found = {one.name: tried(one, lines) for one in systems}
        (OUT / f"{name}.json").write_text(f"{json.dumps(found, indent=1)}\n", "utf-8")
        (OUT / f"{name}.md").write_text(table(systems, found), "utf-8")


def table(systems: Sequence[System], lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The capped WER of every line, and of the worst case so far, for each system."""
    head = [f"{one.name}, {one.db:g} dB | worst so far" for one in systems]
    rows = [f"| attack | LOST | {' | '.join(head)} |", "|---|---" + "|---|---" * len(head) + "|"]
    for each in zip(*(lines[one.name] for one in systems), strict=True):
        attack = each[0]["attack"].replace(f"db={systems[0].db:g},", "")
        cells = [f"{one['capped WER %']:.0f} | {one['worst so far']:.0f}" for one in each]
        lost = f"{each[0]['lost']:g}" if "loss=margin" in attack else ""
        rows.append(f"| `{attack}` | {lost} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def tried(system: System, asked: Sequence[tuple[float, str]]) -> list[dict[str, Any]]:
    """Every line on one system, printed as it is finished."""
    model = defenses.build(system.defense).wrap(models.load(system.model))
    draws = 1 if system.defense == "none" else JUDGES
    cuts = sorted(data.load(system.data), key=lambda cut: cut.id)
    random.Random(3).shuffle(cuts)
    cuts = cuts[:COUNT]
    speech = data.read(cuts)
    texts = [as_written_by(model, data.written(cut)) for cut in cuts]
    words = [len(text.split()) for text in texts]
    lines: list[dict[str, Any]] = []
    worst = [0.0] * COUNT
    for cut, spec in asked:
        search.LOST = cut
        attack = attacks.build(spec.format(db=system.db))
        goal = attack.goal(texts, texts, lambda: texts)
        began = time.process_time()
        made = attack(model, speech, goal, Draws(SEEDS)).quantized()
        errors = capped(model, made, texts, draws)
        worst = [max(pair) for pair in zip(worst, errors, strict=True)]
        line = {
            "system": system.name,
            "lost": cut,
            "attack": spec.format(db=f"{system.db:g}"),
            "capped WER %": round(100 * sum(errors) / sum(words), 1),
            "worst so far": round(100 * sum(worst) / sum(words), 1),
            "errors": errors,
            "CPU s": round(time.process_time() - began),
        }
        lines.append(line)
        print(json.dumps(line), flush=True)
    return lines


def capped(model: Recognizer, audio: Audio, texts: Sequence[str], draws: int) -> list[float]:
    """Word errors of each utterance, at most its words; the mean of several draws."""
    total = [0] * len(texts)
    for number in range(draws):
        streams = [number * len(texts) + i for i in range(len(texts))]
        heard = transcribe(model, audio, Draws(streams))
        errors = [min(word_edits(*pair)) for pair in zip(texts, heard, strict=True)]
        total = [sum(pair) for pair in zip(total, errors, strict=True)]
    return [errors / draws for errors in total]


if __name__ == "__main__":
    plainly(main)

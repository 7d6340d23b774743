"""Scores of files and folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from melmoat import audio
from melmoat.data.folders import find, passed_over, utf8
from melmoat.decoding import Channel
from melmoat.detectors.base import Detector, score
from melmoat.devices import CPU
from melmoat.draws import Draws, derive
from melmoat.errors import spared
from melmoat.models.base import Recognizer


@dataclass
class ScoredFiles:
    """What came of some files.

    Attributes:
        scores: by file, in their order.
        failed: why others have no score, by file.
        passed: lines about files of folders that are no audio.
    """

    scores: dict[Path, float] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)
    passed: list[str] = field(default_factory=list)


def score_files(
    detector: Detector,
    system: Recognizer,
    paths: Sequence[Path],
    seed: int,
    channel: Channel = "mix",
    device: str = CPU,
    tick: Callable[[], None] = lambda: None,
) -> ScoredFiles:
    """Score every file; one that cannot be used does not stop the others.

    Args:
        paths: files and folders.
        seed: with the file's name, it decides the detector's random draws.
        tick: called after each file.
    """
    found = [find(path) for path in paths]
    out = ScoredFiles(passed=passed_over(found))
    for one in found:
        out.failed |= {path: str(why) for path, why in one.failed.items()}
    met: Counter[str] = Counter()  # files of one name, in several folders, draw for themselves
    for file in dict.fromkeys(file for one in found for file in one.files):
        name = utf8(file.name)
        again, met[name] = met[name], met[name] + 1
        draws = Draws([derive(seed, name, *([again] if again else []))])
        why: list[str] = []
        with spared(why.append):
            speech = audio.load(file, system.rate, channel).to(device)
            (out.scores[file],) = score(detector, system, speech, draws)
        if why:
            out.failed[file] = why[0]
        tick()
    return out

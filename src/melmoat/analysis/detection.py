"""Detectors on the audio of a run: scores, thresholds, and what each attack gets past them.

A run keeps its audio with ``--save-audio``. Its ``none`` and ``noise`` cells are what nobody
attacked. The adversarial audio is that which the judge heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from melmoat import audio, defenses, models
from melmoat.analysis.results import Result
from melmoat.bench import audio_store
from melmoat.detectors import DETECTORS, score
from melmoat.devices import CPU
from melmoat.draws import Draws, derive
from melmoat.errors import MelmoatError
from melmoat.metrics import detection
from melmoat.models.hama.phonemes import BOUNDARY
from melmoat.normalisers import PUBLISHED, RULES, by_name
from melmoat.text import canonical

Scores = Mapping[str, float]  # by utterance


def score_run(
    folder: Path,
    results: Iterable[Result],
    detector: str,
    device: str = CPU,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, dict[str, float]]:
    """The scores of the adversarial audio of some cells, by the cell's key and by utterance.

    The detector listens to the whole system of the cell. Its draws derive from the cell, the
    utterance and the detector.

    Args:
        tick: called after each utterance.

    Raises:
        MelmoatError: the audio is not there.
    """
    spec = str(DETECTORS.parse(detector))
    made = DETECTORS.build(spec)
    systems: dict[tuple[str, str], models.Recognizer] = {}
    scores: dict[str, dict[str, float]] = {}
    for result in results:
        cell, name = result.cell, (result.cell.model, result.cell.defense)
        if name not in systems:
            systems[name] = defenses.build(cell.defense).wrap(models.load(cell.model))
        system, home = systems[name], audio_store.home(folder, result.key)
        own = scores.setdefault(result.key, {})
        for utterance in result.rows:
            file = audio_store.find(home, utterance, "adversarial")
            if file is None:
                raise MelmoatError(
                    f"{folder} has no audio of {utterance} in {result.name}; measure it with "
                    "--save-audio"
                )
            speech = audio.load(file, system.rate).to(device)
            draws = Draws([derive("detect", spec, cell.seed_of(utterance))])
            (own[utterance],) = score(made, system, speech, draws)
            tick()
    return scores


@dataclass(frozen=True)
class Caught:
    """What a threshold catches of an attack.

    Attributes:
        harmful: utterances whose transcript the attack changed.
        harmful_caught: those of them that are suspect.
        harmless: utterances whose transcript it did not change.
        harmless_caught: those of them that are suspect.
        reached_unseen: utterances that reached the attack's goal and are not suspect.
        n: all utterances.
    """

    harmful: int
    harmful_caught: int
    harmless: int
    harmless_caught: int
    reached_unseen: int
    n: int

    @property
    def unseen(self) -> int:
        """Harmful utterances that are not suspect: what the attacker wants."""
        return self.harmful - self.harmful_caught


def changed(row: Mapping[str, Any]) -> bool:
    """Whether the attack changed the transcript, compared as the recognizer's texts are. Somebody's
    own rule is not known here: letter for letter. Spellings that a model maps, such as British
    ones, count as they are."""
    name = str(row.get("normaliser")).partition("+")[0]
    same = by_name(name) if name in (*RULES, *PUBLISHED) else canonical
    texts = str(row["benign"]), str(row["adversarial"])
    if name == "phonemes":  # boundaries between words do not count
        texts = texts[0].replace(BOUNDARY, " "), texts[1].replace(BOUNDARY, " ")
    return same(texts[0]) != same(texts[1])


def caught(result: Result, scores: Scores, threshold: float) -> Caught:
    """What ``threshold`` catches of the attack of ``result``, whose utterances have ``scores``."""
    rows = [(changed(row), bool(row["reached"]), scores[i]) for i, row in result.rows.items()]
    harmful = [score > threshold for harm, _, score in rows if harm]
    harmless = [score > threshold for harm, _, score in rows if not harm]
    unseen = sum(reached and score <= threshold for _, reached, score in rows)
    return Caught(len(harmful), sum(harmful), len(harmless), sum(harmless), unseen, len(rows))


@dataclass(frozen=True)
class Separation:
    """How well a detector tells the harmful utterances of an attack from negatives.

    Attributes:
        auc, low, high: area under the ROC curve with its 95 % interval. Utterances are resampled
            with all that was made of them.
        points: of the ROC curve (:func:`melmoat.metrics.detection.roc`).
    """

    auc: float
    low: float
    high: float
    points: Sequence[tuple[float, float]]


def separation(negatives: Sequence[Scores], result: Result, scores: Scores) -> Separation | None:
    """The ROC curve of the harmful utterances of an attack; None if it harmed none.

    Args:
        negatives: scores of what nobody attacked, such as clean and noisy speech.
        scores: scores of the utterances of ``result``.
    """
    benign = [(name, value) for one in negatives for name, value in one.items()]
    harmful = [(name, scores[name]) for name, row in result.rows.items() if changed(row)]
    if not harmful:
        return None
    values = [value for _, value in benign], [value for _, value in harmful]
    names = [name for name, _ in benign], [name for name, _ in harmful]
    low, high = detection.auc_interval(*values, groups=names)
    return Separation(detection.auc(*values), low, high, detection.roc(*values))

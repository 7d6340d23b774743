"""How much of the meaning a transcript keeps: semantic distances of a run's rows.

The figure is computed from the texts that a run has, so nothing is measured again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from melmoat.analysis.compare import find_row
from melmoat.analysis.results import Result
from melmoat.errors import MelmoatError
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.models import MODELS
from melmoat.progress import Progress, silent
from melmoat.semantic import Sentences, distance
from melmoat.spec import SpecError
from melmoat.text import is_of

ENGLISH = ("en", "eng", "english")


@dataclass(frozen=True)
class Meaning:
    """The semantic distance between what is said and what is written, of one cell.

    Attributes:
        name: the cell.
        system, attack, data: names of its parts.
        model, defense, key, seed: its specs, its key and its seed.
        n: utterances that count: those whose reference has words.
        wer, capped: the word error rate of these in percent, and the same with at most as many
            errors in an utterance as it has words.
        distance: the mean over utterances of one minus the cosine, 0 to 2; 1 where nothing was
            written; None if the cell is left out.
        low, high: its 95 % bootstrap interval over utterances; None below two.
        others: the mean distance between each transcript and the references of other utterances, so
            what no relation is; None if there are no others.
        encoder: the sentence model.
        left_out: why the cell has no figures; empty if it has.
    """

    name: str
    system: str
    attack: str
    data: str
    model: str
    defense: str
    key: str
    seed: int
    n: int = 0
    wer: float | None = None
    capped: float | None = None
    distance: float | None = None
    low: float | None = None
    high: float | None = None
    others: float | None = None
    encoder: str = ""
    left_out: str = ""


def meanings(
    results: Sequence[Result],
    run: Path,
    model: Callable[[], Sentences],
    rows: Sequence[str] = (),
    progress: Progress = silent,
) -> list[Meaning]:
    """The semantic distances of cells.

    An utterance without words in its reference does not count, because it has no meaning to keep. A
    transcript without words has distance 1, as if it had no relation. Cells whose recognizer writes
    phonemes, or another language than English, are left out, and say why.

    Args:
        results: the cells of a run.
        run: its folder, for messages.
        model: loads the sentence model; not called if no cell has figures.
        rows: names of cells, or parts of them; empty: all.
        progress: called as ``progress(done, total, what)``, in cells.

    Raises:
        MelmoatError: a row is unknown, or no cell has figures.
    """
    chosen = [find_row(results, row, run) for row in rows] if rows else list(results)
    reasons = {result.key: obstacle(result) for result in chosen}
    known = [result for result in chosen if not reasons[result.key]]
    if not known:
        why = "".join(f"\n  {result.name}: {reasons[result.key]}" for result in chosen)
        raise MelmoatError(
            f"{run}: no row here has a semantic distance:{why or ' it has no cells'}"
        )
    sentences = model()
    said = list(dict.fromkeys(said for result in known for said, _ in _pairs(result)))
    vectors = dict(zip(said, sentences.embed(said), strict=True))
    found: list[Meaning] = []
    for i, result in enumerate(chosen):
        progress(i, len(chosen), result.name)
        why = reasons[result.key]
        found.append(_named(result, left_out=why) if why else _meaning(result, vectors, sentences))
    return found


def obstacle(result: Result) -> str:
    """Why a cell has no semantic distance; empty if it has one."""
    rows = result.rows.values()
    if not rows:
        return "it has no rows"
    if any(row.get("normaliser") == "phonemes" for row in rows):
        return "its recognizer writes phonemes, which have no meaning"
    try:
        language = MODELS.parse(result.cell.model).args.get("language")
    except SpecError:  # of a part that is not here
        language = None
    if isinstance(language, str) and language.lower() not in ENGLISH:
        return f"its recognizer writes the language {language}; the sentence model knows English"
    letters = [c for row in rows for c in str(row["reference"]) if c.isalpha()]
    if 2 * sum(is_of(letter, "LATIN") for letter in letters) < len(letters):
        return "its texts are not in Latin letters; the sentence model knows English"
    return "" if _pairs(result) else "none of its references has words"


def to_others(written: Tensor, said: Tensor, references: Sequence[str]) -> float | None:
    """The mean distance between each transcript and each other reference; None if all are the same.

    The sum of the cosines of all pairs is the product of the two sums of vectors. The pairs of one
    reference, and so of each utterance with itself, are taken off in the same way.

    Args:
        written, said: unit vectors, or zeros where nothing is written. Shape: ``[n, D]``.
        references: the texts of ``said``.
    """
    places: dict[str, list[int]] = {}
    for i, reference in enumerate(references):
        places.setdefault(reference, []).append(i)
    cosines, pairs = float(written.sum(0) @ said.sum(0)), len(references) ** 2
    for same in places.values():
        cosines -= float(written[same].sum(0) @ said[same].sum(0))
        pairs -= len(same) ** 2
    return 1 - cosines / pairs if pairs else None


def has_words(text: str) -> bool:
    """Whether a text has a letter or a digit."""
    return any(map(str.isalnum, text))


def _pairs(result: Result) -> list[tuple[str, str]]:
    """What is said and what is written, of each utterance that counts."""
    pairs = ((str(row["reference"]), str(row["adversarial"])) for row in result.rows.values())
    return [pair for pair in pairs if has_words(pair[0])]


def _named(result: Result, **figures: Any) -> Meaning:
    cell = result.cell
    return Meaning(
        name=result.name,
        system=result.system_name,
        attack=result.attack_name,
        data=result.data_name,
        model=cell.model,
        defense=cell.defense,
        key=result.key,
        seed=cell.seed,
        **figures,
    )


def _meaning(result: Result, vectors: Mapping[str, Tensor], sentences: Sentences) -> Meaning:
    references, transcripts = zip(*_pairs(result), strict=True)
    said, written = (
        torch.stack([vectors[text] for text in references]),
        sentences.embed(transcripts),
    )
    # At a right angle to everything.
    written[[i for i, text in enumerate(transcripts) if not has_words(text)]] = 0
    distances = distance(written, said).tolist()
    low, high = bootstrap(distances, [1] * len(distances)) or (None, None)
    counts = [
        row["counts"]["adversarial"]["words"]
        for row in result.rows.values()
        if has_words(str(row["reference"]))
    ]
    edits, words = zip(*counts, strict=True)
    return _named(
        result,
        n=len(distances),
        wer=rate(edits, words),
        capped=rate([min(pair) for pair in counts], words),
        distance=sum(distances) / len(distances),
        low=None if low is None else low / 100,
        high=None if high is None else high / 100,
        others=to_others(written, said, references),
        encoder=sentences.name,
    )

"""When each word of a transcript was said: from the best path of a CTC recognizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from melmoat.models.base import (
    CTC,
    CTCRecognizer,
    FromFrames,
    Recognizer,
    kind_of,
    labels_of,
    require_ctc,
)
from melmoat.models.hf_ctc import OTHER
from melmoat.models.wrappers import Wrapper


class Word(NamedTuple):
    """A word, and the seconds from its first frame to its last."""

    text: str
    start: float
    end: float


def timeable(model: Recognizer) -> CTCRecognizer | None:
    """``model``, if the times of its words are known; else None.

    It has to write the best path of frame-wise probabilities of characters, one of them the space.
    A beam sums over paths, phonemes have no spaces, and tokens have no frames. A recognizer with a
    ``transcribe`` or ``decode`` of its own may write anything.
    """
    if kind_of(model) != "ctc" or " " not in (labels_of(model) or ""):
        return None
    inner: object = model
    while isinstance(inner, Wrapper) and _writes_as(inner, Wrapper, FromFrames):
        inner = inner.model
    if not (isinstance(inner, CTC) and _writes_as(inner, CTC)):
        return None
    return require_ctc(model) if inner.greedy else None


def _writes_as(model: Wrapper | CTC, *kinds: type) -> bool:
    """Whether its transcripts are made by these classes, and not by one of its own."""
    methods = [getattr(kind, name, None) for kind in kinds for name in ("transcribe", "decode")]
    return type(model).transcribe in methods and type(model).decode in methods


def words_of(
    log_probs: Tensor, frames: Tensor, labels: str, seconds: Sequence[float]
) -> list[list[Word]]:
    """The words of the best path of each utterance, with their times.

    A CTC recognizer puts a character on few frames, often one, and blanks between. So the start is
    late by up to the length of the first sound, and the end early.

    Args:
        log_probs, frames: as :meth:`CTCRecognizer.log_probs` gives them. Shape: ``[B, F, V]``,
            ``[B]``.
        labels: the characters, index 0 the blank.
        seconds: length of each utterance. All its frames have the same length.
    """
    labels = labels.rstrip(OTHER)
    paths = log_probs[..., : len(labels)].argmax(-1).tolist()
    return [
        [
            Word(text, first * length / count, (last + 1) * length / count)
            for text, first, last in _runs(path[:count], labels)
        ]
        for path, count, length in zip(paths, frames.tolist(), seconds, strict=True)
    ]


def _runs(path: Sequence[int], labels: str) -> list[tuple[str, int, int]]:
    """The words of a path of labels (0: blank), each with its first and last frame."""
    words: list[tuple[str, int, int]] = []
    word, first, last, before = "", 0, 0, 0
    for frame, label in enumerate(path):
        if label and labels[label].isspace():
            words += [(word, first, last)] if word else []
            word = ""
        elif label:
            first, last = (first if word else frame), frame
            word += labels[label] if label != before else ""
        before = label
    return [*words, (word, first, last)] if word else words

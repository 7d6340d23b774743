"""What speech a recognizer knows, so that it can say where it hears something else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer, kind_of, require_ctc


@dataclass(frozen=True)
class Domain:
    """The speech that a CTC recognizer knows. It stands at the recognizer as ``domain``.

    Args:
        speech: what that is, in words.
        least: the least :func:`confidence` of such speech, in nats.
        instead: what to use for other speech.
    """

    speech: str
    least: float
    instead: str


def domain_of(model: object) -> Domain | None:
    """What ``model`` says that it knows; None where it says nothing."""
    found: Domain | None = getattr(model, "domain", None)
    return found


def confidence(log_probs: Tensor, frames: Tensor) -> Tensor:
    """Mean log probability of the best label, over the frames where that is no blank.

    Frames between letters are always sure of themselves, so they say nothing. 0 where no letter is
    heard at all.

    Shape: ``[B, F, V]``, ``[B]`` -> ``[B]``.

    >>> confidence(torch.tensor([[[0.5, 0.5], [0.2, 0.8], [0.9, 0.1]]]).log(), torch.tensor([3]))
    tensor([-0.2231])
    """
    best, label = log_probs.max(-1)
    inside = torch.arange(best.shape[1], device=best.device) < frames[:, None]
    letters = inside & (label != 0)
    return (best * letters).sum(1) / letters.sum(1).clamp(min=1)


def unlike(model: Recognizer, audio: Audio) -> list[bool]:
    """Whether ``model`` hears speech unlike its domain in each utterance; False where it names
    none."""
    domain = domain_of(model)
    if domain is None or kind_of(model) != "ctc":
        return [False] * len(audio)
    with torch.no_grad():
        heard = require_ctc(model).log_probs(audio, Draws([0] * len(audio)))
    return (confidence(*heard) < domain.least).tolist()


def warning(name: str, domain: Domain, sources: list[str], of: int) -> str:
    """What to tell about recordings that are unlike a recognizer's domain, in a line."""
    some = sources[0] if of == 1 else f"{len(sources)} of {of} recordings (first: {sources[0]})"
    return (
        f"{some}: unlike what {name} knows, {domain.speech}; do not trust its text. "
        f"For other speech: {domain.instead}"
    )

"""Somebody's own recognizer, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch

from melmoat import custom
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer, kind_of, labels_of, transcribe
from melmoat.normalisers import of
from melmoat.text import TextError


def load(target: str, options: Mapping[str, str]) -> Recognizer:
    """The recognizer that the factory ``MODULE:FACTORY`` makes of ``options``.

    Raises:
        MelmoatError: as :func:`melmoat.custom.make`, or what it made is no recognizer.
    """
    model = custom.make(target, options)
    wrong = faults(model)
    if wrong:
        raise MelmoatError(
            f"python:{target} made a {type(model).__name__}, which is no recognizer: "
            f"{'; '.join(wrong)} (docs/recognizers.md)"
        )
    return cast(Recognizer, model)


def faults(model: object) -> list[str]:
    """What keeps ``model`` from being a recognizer, empty if nothing does."""
    wrong = []
    rate = getattr(model, "rate", None)
    if type(rate) is not int or rate <= 0:  # True would be an int
        wrong.append(f"rate must be its sampling rate in Hz, got {rate!r}")
    needed = ["transcribe", "loss"]
    needed += {"ctc": ["log_probs"], "tokens": ["encode", "cut"], "text": []}[kind_of(model)]
    for method in needed:
        if not callable(getattr(model, method, None)):
            wrong.append(f"it has no method {method}")
    labels = labels_of(model)
    if labels is not None and not isinstance(labels, str):
        wrong.append(f"labels must be a string of single characters, got {type(labels).__name__}")
    if (given := getattr(model, "normaliser", None)) is not None:
        try:
            of(given)
        except MelmoatError as error:
            wrong.append(str(error))
    return wrong


def check(model: Any) -> None:
    """Check that an object is a recognizer, and that what it gives back has the right shapes.

    It hears a second and half a second of faint noise, as one batch.

    Raises:
        MelmoatError: it is none; says what was expected and what came.
    """
    name = type(model).__name__
    if wrong := faults(model):
        raise MelmoatError(f"a {name} is no recognizer: {'; '.join(wrong)} (docs/recognizers.md)")
    draws = Draws([0, 1])
    audio = faint_noise(model.rate)
    try:
        if kind_of(model) == "ctc":
            with torch.no_grad():
                _check_log_probs(name, model.log_probs(audio, draws), labels_of(model))
        transcribe(model, audio, draws)
        with torch.no_grad():
            loss = model.loss(audio, [a_word(model)] * 2, draws)
    except TextError:  # a text that it does not write
        return
    except MelmoatError:
        raise
    except Exception as error:
        raise MelmoatError(
            f"{name} failed on a second of noise, {type(error).__name__}: {error}"
        ) from error
    if not isinstance(loss, torch.Tensor) or loss.shape != (2,):
        raise MelmoatError(
            f"{name}.loss returned {_what(loss)} for 2 utterances; expected a tensor of shape [2]"
        )


def faint_noise(rate: int) -> Audio:
    """A second and half a second of faint noise, as one batch: the same at each call."""
    seeded = (torch.Generator().manual_seed(0) for _ in range(2))
    waves = [0.01 * torch.randn(rate // n, generator=g) for n, g in enumerate(seeded, 1)]
    return Audio.of(waves, rate)


def a_word(model: Any) -> str:
    """A short text that it can write."""
    letters = [c for c in (labels_of(model) or "_A")[1:] if c.isalpha()]
    return letters[0] if letters else "A"


def _check_log_probs(name: str, out: object, labels: str | None) -> None:
    """Check what ``log_probs`` gave for two utterances of different length."""
    pair = isinstance(out, Sequence) and len(out) == 2
    if not pair or not all(isinstance(one, torch.Tensor) for one in cast(Sequence[Any], out)):
        raise MelmoatError(
            f"{name}.log_probs returned {_what(out)}; expected two tensors: log probabilities "
            "[B, F, V] and true frames [B]"
        )
    log_probs, frames = cast(Sequence[torch.Tensor], out)
    size = len(labels) if labels is not None else log_probs.shape[-1]
    if log_probs.dim() != 3 or len(log_probs) != 2 or log_probs.shape[2] != size:
        raise MelmoatError(
            f"{name}.log_probs returned shape {list(log_probs.shape)} for 2 utterances and "
            f"{size} labels; expected [2, frames, {size}]"
        )
    if frames.shape != (2,) or int(frames.max()) > log_probs.shape[1] or int(frames.min()) < 1:
        raise MelmoatError(
            f"{name}.log_probs returned frames {frames.tolist()}; expected one number an "
            f"utterance, from 1 to the {log_probs.shape[1]} that it has"
        )
    for row, count in zip(log_probs, frames.tolist(), strict=True):
        off = float(row[: int(count)].logsumexp(-1).abs().max())
        if not off < 1e-2:  # also of what is no number
            raise MelmoatError(
                f"{name}.log_probs: the probabilities of a frame do not sum to one (log of the sum "
                f"{off:.3g}); end it with log_softmax(-1)"
            )


def _what(value: object) -> str:
    """A value in a few words.

    >>> _what(torch.zeros(2, 3)), _what([1, 2])
    ('a tensor of shape [2, 3]', 'a list of 2')
    """
    if isinstance(value, torch.Tensor):
        return f"a tensor of shape {list(value.shape)}"
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, list | tuple) else f"a {kind}"

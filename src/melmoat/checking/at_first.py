"""The part of a check that costs next to nothing: a bench runs it before it measures."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from melmoat.audio import RATE
from melmoat.defenses import DEFENSES, apply, function_of_audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, custom
from melmoat.objects import is_object


def check_at_first(systems: Iterable[tuple[str, str]]) -> None:
    """Check the shapes of one's own recognizers and defenses before hours are spent on them.

    They hear a second and half a second of faint noise. Recognizers of ``python:`` are built anew
    for it, and the global random state is left as it was, so nothing that is measured changes.

    Args:
        systems: pairs of a recognizer's spec and a defense's.

    Raises:
        MelmoatError: what was expected, and what came.
    """
    rates: dict[str, int] = {}
    done: set[tuple[str, int]] = set()
    with torch.random.fork_rng(devices=[]):
        for model, defense in systems:
            if model not in rates:
                rates[model] = _check_model(model)
            if (defense, rates[model]) not in done:
                done.add((defense, rates[model]))
                _check_defense(defense, rates[model])


def _check_model(spec: str) -> int:
    """The rate of somebody's own recognizer, checked; of any other the usual one."""
    if not (MODELS.parse(spec).foreign or is_object(spec)):
        return RATE
    model = MODELS.build(spec)
    custom.check(model)
    return model.rate


def _check_defense(spec: str, rate: int) -> None:
    if not (DEFENSES.parse(spec).foreign or is_object(spec)):
        return
    front = function_of_audio(DEFENSES.build(spec))
    if front is None:
        return
    audio = custom.faint_noise(rate)
    out = apply(front, audio, Draws([0, 1]))
    if out.wav.shape != audio.wav.shape:
        raise MelmoatError(
            f"{type(front).__name__} made {list(out.wav.shape)} samples of "
            f"{list(audio.wav.shape)}; a front-end keeps the shape (docs/defenses.md)"
        )

"""Somebody's own recognizer, checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from melmoat import own
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer
from melmoat.normalisers import of


def load(target: str, options: Mapping[str, str]) -> Recognizer:
    """The recognizer that the factory ``MODULE:FACTORY`` makes of ``options``.

    Raises:
        MelmoatError: as :func:`melmoat.own.make`, or what it made is no recognizer.
    """
    model = own.make(target, options)
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
    if hasattr(model, "labels"):
        needed.append("log_probs")  # only those with labels have frame-wise probabilities
    if hasattr(model, "vocabulary"):
        needed += ["hear", "cut"]  # and only these write token after token
    for method in needed:
        if not callable(getattr(model, method, None)):
            wrong.append(f"it has no method {method}")
    labels = getattr(model, "labels", "_")
    if not isinstance(labels, str):
        wrong.append(f"labels must be a string of single characters, got {type(labels).__name__}")
    if (given := getattr(model, "normaliser", None)) is not None:
        try:
            of(given)
        except MelmoatError as error:
            wrong.append(str(error))
    return wrong

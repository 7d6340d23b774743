"""A user's own detector."""

from __future__ import annotations

from melmoat import custom
from melmoat.detectors.base import Detector
from melmoat.errors import MelmoatError
from melmoat.facts import rests_on


@rests_on(custom.origin)
def python(target: str, **options: str) -> Detector:
    """Your own detector: ``python:MODULE:FACTORY,level=3`` calls FACTORY(level=3) of MODULE.

    Args:
        target: ``MODULE:FACTORY``.
        options: options of FACTORY.
    """
    made = custom.make(target, options)
    if not isinstance(made, Detector):
        raise MelmoatError(
            f"python:{target} made a {type(made).__name__}; expected a melmoat.detectors.Detector "
            "(docs/detection.md)"
        )
    return made

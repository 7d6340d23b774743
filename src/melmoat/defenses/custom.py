"""A user's own defense."""

from __future__ import annotations

from functools import cached_property
from typing import cast

from melmoat import custom
from melmoat.defenses.base import Defense, FrontEnd, Gradient, with_gradient
from melmoat.errors import MelmoatError
from melmoat.facts import rests_on
from melmoat.models.base import Recognizer


@rests_on(custom.origin)
class Own:
    """Your own defense: ``python:MODULE:FACTORY,level=3`` calls FACTORY(level=3) of MODULE.

    The import happens at first use. Reading a run therefore runs none of its code.

    Args:
        target: ``MODULE:FACTORY``.
        gradient: the gradient for attackers; only functions of audio can have one that is not
            exact.
        options: options of FACTORY.
    """

    def __init__(self, target: str, gradient: Gradient = "exact", **options: str) -> None:
        self.target, self.gradient, self.options = target, gradient, options

    @cached_property
    def made(self) -> Defense:
        """The defense that the factory makes.

        Raises:
            MelmoatError: as :func:`melmoat.custom.make`, or it is not a defense.
        """
        made = custom.make(self.target, self.options)
        if isinstance(made, FrontEnd):
            return with_gradient(made, self.gradient)
        if not callable(getattr(made, "wrap", None)) or self.gradient != "exact":
            raise MelmoatError(
                f"python:{self.target} made a {type(made).__name__}; expected a "
                "melmoat.defenses.FrontEnd, or an object with a method wrap, whose gradient is "
                "its own (docs/defenses.md)"
            )
        return cast(Defense, made)

    def wrap(self, model: Recognizer) -> Recognizer:
        """The defended recognizer."""
        return self.made.wrap(model)

"""Votes over the passes of a stochastic front-end: what smoothing is, with any noise."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

from melmoat import defenses
from melmoat.defenses.base import FrontEnd
from melmoat.defenses.custom import Own
from melmoat.errors import MelmoatError
from melmoat.facts import Part
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Voted, smoothed


class Votes:
    """A vote over several passes of a stochastic defense, such as ``voted:mdnf,votes=5``.

    The gradient runs through all passes. ``rs`` is ``voted:wgn``.

    Args:
        defense: a stochastic function of audio; a spec with commas stands in parentheses.
        votes: passes.
        vote: ``mean`` of probabilities, or ``rover`` over the words of the passes, for any
            recognizer (its loss is the mean loss of the passes).

    Attributes:
        built: what ``defense`` names.
    """

    def __init__(
        self,
        defense: Annotated[str, Part("defense")],
        votes: int = 5,
        vote: Literal["mean", "rover"] = "mean",
    ) -> None:
        if votes < 1:
            raise ValueError(f"votes must be at least 1, got {votes}")
        self.defense, self.votes, self.vote = defense, votes, vote
        self.built = defenses.build(defense)
        if not isinstance(self.built, Own):  # whose code runs at first use
            _ = self.inner

    @cached_property
    def inner(self) -> FrontEnd:
        """The front-end whose passes vote.

        Raises:
            MelmoatError: it is no function of audio, or all of its passes are the same.
        """
        made = defenses.function_of_audio(self.built)
        if made is None:
            raise MelmoatError(f"voted: {self.defense!r} is not a function of audio, but has votes")
        if not made.stochastic:
            raise MelmoatError(
                f"voted: all passes of {self.defense!r} are the same, so there is nothing to vote "
                "on; use it without voted:"
            )
        return made

    def wrap(self, model: Recognizer) -> Recognizer:
        """The recognizer that votes; ``vote=mean`` needs a CTC or a token recognizer."""
        combined = Voted if self.vote == "rover" else smoothed
        return combined(self.inner.wrap(model), self.votes)

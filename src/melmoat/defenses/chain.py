"""One defense after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

import torch
from torch import Tensor

from melmoat import defenses
from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd
from melmoat.defenses.streaming import Stage
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.facts import Part
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import checked_output


class Chained(FrontEnd):
    """Front-ends one after another; each draws its own random numbers.

    Args:
        links: the front-ends, in the order in which the audio meets them.
    """

    def __init__(self, links: Sequence[FrontEnd]) -> None:
        self.links = tuple(links)
        self.stochastic = any(link.stochastic for link in links)
        self.differentiable = all(link.differentiable for link in links)
        self.approximate = all(link.differentiable or link.approximate for link in links)
        self.rounding = self.links[0].rounding

    @property
    def dilutes(self) -> bool:
        """Whether silence weakens one of them."""
        return any(link.dilutes for link in self.links)

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        for number, link in enumerate(self.links):
            audio = checked_output(link, audio, link(audio, draws.fork(number)))
        return audio

    def stream(self, rate: int, draws: Draws) -> Stage:
        return _Stages(
            [link.stream(rate, draws.fork(number)) for number, link in enumerate(self.links)]
        )


class _Stages:
    """Stages of which each gets the output of the one before it."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self.latency = sum(stage.latency for stage in stages)

    def push(self, samples: Tensor) -> Tensor:
        for stage in self._stages:
            samples = stage.push(samples)
        return samples

    def finish(self) -> Tensor:
        rest = torch.zeros(0)
        for stage in self._stages:
            rest = torch.cat([stage.push(rest), stage.finish()])
        return rest


class Chain:
    """One defense after another, such as ``chain:mulaw,then=mdnf``.

    A third one goes into a chain of its own: ``chain:mulaw,then=(chain:wgn,then=mdnf)``. A vote
    over the passes of a chain is ``voted:(chain:...)``.

    Args:
        first, then: functions of audio, in this order; a spec with commas stands in parentheses.
    """

    def __init__(
        self,
        first: Annotated[str, Part("defense")],
        then: Annotated[str, Part("defense")],
    ) -> None:
        self.specs = {"first": first, "then": then}
        self.links = {key: defenses.build(spec) for key, spec in self.specs.items()}

    @cached_property
    def made(self) -> Chained:
        """The front-end.

        Raises:
            MelmoatError: one of the two is no function of audio.
        """
        return Chained([self._front(key) for key in self.links])

    def _front(self, key: str) -> FrontEnd:
        front = defenses.function_of_audio(self.links[key])
        if front is None:
            raise MelmoatError(
                f"chain: {self.specs[key]!r} is not a function of audio, but averages several "
                "passes; put the vote around the chain, as in voted:(chain:mulaw,then=wgn)"
            )
        return front

    def wrap(self, model: Recognizer) -> Recognizer:
        """The recognizer behind both."""
        return self.made.wrap(model)

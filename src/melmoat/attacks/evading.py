"""Attacks that know a detector, and fool the recognizer and the detector together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from torch import Tensor

from melmoat.attacks.base import Access, Attack, Goal, Nested, Targeted, access_of
from melmoat.attacks.cw import Shrinking
from melmoat.attacks.endless import ENDLESS
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.detectors import Detector
from melmoat.draws import Draws
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Monitored


@dataclass(frozen=True)
class Evading(Nested):
    """A gradient attack on the sum of its own loss and the detector's evasion.

    Budget and goal are those of the inner attack. It reports neither queries nor the first
    success, because no transcript alone says that the detector is quiet.

    Args:
        detector: what the attacker also wants to fool.
        attack: the attack that lowers the sum.
        weight: weight of the evasion.
        draws: draws of a stochastic detector whose mean evasion is lowered.

    Raises:
        ValueError: the inner attack has no gradient, or decides by transcripts alone.
    """

    access: ClassVar[Access] = "white-box"
    detector: Detector
    attack: Attack
    weight: float = 1.0
    draws: int = 1

    def __post_init__(self) -> None:
        if access_of(self.attack) != "white-box":
            raise ValueError("evading needs an attack with a gradient, such as pgd")
        if isinstance(self.attack, Shrinking):
            raise ValueError(
                f"{type(self.attack).__name__} shrinks its perturbation by transcripts, which say "
                "nothing about the detector; take pgd or apgd"
            )
        if getattr(self.attack, "target", None) == ENDLESS:
            raise ValueError(f"target={ENDLESS} has a loss of its own, which evading cannot add to")
        stops = getattr(self.attack, "stop", False)
        if stops or getattr(self.attack, "keep", "loss") == "errors":
            raise ValueError(
                "stop=true and keep=errors decide by transcripts, which say nothing about the "
                "detector; leave them out"
            )
        if not 0 <= self.weight < math.inf or self.draws < 1:
            raise ValueError(
                "weight must be finite and not negative and draws at least 1, got "
                f"{self.weight} and {self.draws}"
            )

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        quiet = model.model if isinstance(model, Monitored) else model  # a step is one tick
        aim = Undetected(goal, quiet, self.detector, self.weight, self.draws)
        made = self.attack(model, audio, aim, draws)
        return Crafted(made.wav, made.lengths, made.rate)


@dataclass(frozen=True)
class Undetected:
    """``goal``, unseen by ``detector``, which listens to ``model``."""

    inner: Goal
    model: Recognizer
    detector: Detector
    weight: float
    draws: int

    def loss(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The goal's loss plus ``weight`` times the mean evasion over draws. Shape: ``[B]``."""
        targets = self.inner.targets if isinstance(self.inner, Targeted) else None
        total = self.inner.loss(model, audio, draws)
        for number in range(self.draws):
            streams = draws.fork(f"detector {number}")
            evasion = self.detector.evasion(self.model, audio, streams, targets)
            total = total + self.weight / self.draws * evasion
        return total

    def reached(self, hypotheses: Sequence[str]) -> list[bool]:
        """Never: transcripts do not say whether the detector is quiet."""
        return [False] * len(hypotheses)

    def distances(self, hypotheses: Sequence[str]) -> list[int]:
        """The inner goal's."""
        return self.inner.distances(hypotheses)

    def scores(self, hypotheses: Sequence[str]) -> list[float]:
        """The inner goal's."""
        return self.inner.scores(hypotheses)

    def enough(self) -> list[float]:
        """The inner goal's."""
        return self.inner.enough()

    def pick(self, rows: Sequence[int]) -> Undetected:
        """The same for some of the utterances."""
        return replace(self, inner=self.inner.pick(rows))

"""Natural evolution strategy (Wierstra et al. 2014; as an attack, Ilyas et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.base import Goal
from melmoat.attacks.population import Listener, Population
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True)
class NES(Population):
    """Estimates the gradient from transcripts only; each query counts.

    The gradient is estimated from a cloud of points around the current one, in pairs on opposite
    sides. Edit distances are whole numbers. So if the cloud is too small, all points have the same
    transcript and show no gradient. The walk then stays, and the next cloud has other directions.

    Args:
        spread: distance of the points from the walk, as a share of the radius.
        step: length of a step of the walk, as a share of the radius.

    Other options as for :class:`Population`, whose number must be even.
    """

    spread: float = 0.5
    step: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population % 2:
            raise ValueError(f"population comes in pairs: it must be even, got {self.population}")
        for name, value in {"spread": self.spread, "step": self.step}.items():
            if not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive and finite, got {value}")

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        listener = Listener(self, model, audio, goal, draws)
        radius = listener.ball.radius(audio)[:, None]
        walk = torch.zeros_like(audio.wav)
        half = self.population // 2
        for streams in listener.rounds():
            points = streams.fork("points")

            def point(number: int, walk: Tensor = walk, points: Draws = points) -> Tensor:
                side = 1 if number < half else -1
                unit = listener.unit(points, number % half)
                return listener.inside(walk + side * self.spread * radius * unit)

            distances = listener.hear(point, streams.fork("hear"))
            uphill = (distances[:half] - distances[half:]).to(walk)
            slope = torch.zeros_like(walk)
            for number in range(half):
                slope += uphill[number, :, None] * listener.unit(points, number) / half
            walk = listener.inside(walk - self.step * radius * listener.ball.step(slope, audio))
        return listener.crafted()

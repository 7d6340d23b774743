"""Projected gradient descent (Madry et al. 2018): one loop for every norm, goal and recognizer.

FGSM (Goodfellow et al. 2015) is ``steps=1,step=1``: a single step as long as the radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from melmoat.attacks.base import Access, Goal, ThreatModel
from melmoat.attacks.budgets import TINY, within_scale
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import Keep, Loss, Walkers, check_search, passes, search
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True)
class PGD(ThreatModel):
    """Projected gradient descent (FGSM is ``steps=1,step=1``).

    Args:
        steps: gradient steps.
        step: length of a step as a fraction of the radius (the paper: 0.2; its SNR rows: 0.5).
        random_start: begin at a random point of the ball instead of at the clean audio.
        restarts: number of runs; the one with the least final loss is kept. All except the first
            start at random.
        eot: draws whose mean loss is attacked, against a stochastic defense.
        momentum: weight of earlier directions (Dong et al. 2018: 1); 0 for none.
        schedule: how the step length falls to zero over the steps, if it does.
        best: keep the point of least loss instead of the last one; costs one more evaluation.
        stop: stop attacking an utterance when its goal is reached under every draw; costs one more
            evaluation.
        chunk: draws evaluated at once, to limit memory; None evaluates all.
        confirm: further draws that must all reach the goal before ``stop`` applies.
        keep: which point is kept: by ``loss``, or the one with most ``errors`` in the transcripts
            that the attack saw. (Only greedy CTC recognizers transcribe for free. For others the
            loss decides.)
        loss: the ``sequence`` loss of the recognizer, or the ``margin`` of the text's best path
            (:mod:`melmoat.attacks.path_margin`).

    Every utterance of a batch is attacked as if it was alone: with its own radius, unit step,
    random streams and end. Source: paper, eq. 1. Budget as for :class:`ThreatModel`.
    """

    access: ClassVar[Access] = "white-box"
    steps: int = 100
    step: float = 0.2
    random_start: bool = False
    restarts: int = 1
    eot: int = 1
    momentum: float = 0.0
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    best: bool = False
    stop: bool = False
    chunk: int | None = None
    confirm: int = 0
    keep: Keep = "loss"
    loss: Loss = "sequence"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_search(self, steps=self.steps, step=self.step)
        if not 0 <= self.momentum < math.inf:
            raise ValueError(f"momentum must be finite and not negative, got {self.momentum}")

    @property
    def evaluations(self) -> int:
        """Most loss evaluations of one call."""
        evaluations = self.steps + self._hears_end + (self.restarts > 1)
        return self.restarts * evaluations * passes(self)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        return search(self, model, audio, goal, draws)

    @property
    def _hears_end(self) -> bool:
        """Whether the last point is evaluated too: else it could not be kept, or be an end."""
        return self.best or self.stop or self.keep == "errors"

    def pace(self, number: int) -> float:
        """Length of step ``number`` (from 0) as a share of the first one's."""
        done = number / self.steps
        if self.schedule == "linear":
            return 1 - done
        return (1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1.0

    def walk(
        self, oracle: LossOracle, delta: Tensor, draws: Draws, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One run; see :class:`melmoat.attacks.search.Search`."""
        audio, ball = oracle.clean, self.budget
        length = (self.step * ball.radius(audio))[:, None]
        velocity = torch.zeros_like(delta)
        walkers = Walkers(delta, active)
        for number in range(self.steps + self._hears_end):
            last = number == self.steps
            evaluation = oracle(delta, draws.fork(number), walkers.active, gradient=not last)
            walkers.meet(delta, evaluation)
            if last or not walkers.active.any():
                break
            direction = evaluation.gradient
            if self.momentum:
                size = direction.abs().sum(1, keepdim=True).clamp(min=TINY)
                direction = velocity = self.momentum * velocity + direction / size
            move = self.pace(number) * length * ball.step(direction, audio)
            moved = within_scale(ball.project(delta - move, audio), audio.wav)
            delta = torch.where(walkers.active[:, None], moved, delta)
        return (walkers.best if self.best else delta), walkers.won

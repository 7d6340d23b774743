"""Projected gradient descent (Madry et al. 2018): one loop for every norm, goal and recognizer.

FGSM (Goodfellow et al. 2015) is ``steps=1,step=1``: a single step as long as the radius.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from melmoat.attacks.base import Aim, AttackError, Goal
from melmoat.attacks.budgets import Budget, budget
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Expected


@dataclass(frozen=True)
class PGD(Aim):
    """Projected gradient descent on the perturbation.

    Args:
        norm: ``linf``, ``l2`` or ``snr``.
        eps: radius for linf (of full scale 1) and l2.
        db: least signal-to-noise ratio in dB, for snr; for linf, the ratio where every sample
            changes by the radius.
        ratio: the same as a linear power ratio (Armory's ``snr``).
        steps: gradient steps.
        step: length of a step as a fraction of the radius (the paper: 0.2; its SNR rows: 0.5).
        random_start: begin at a random point of the ball instead of at the clean audio.
        restarts: runs, the best by final loss is kept; all but the first start at random.
        eot: draws whose mean loss is attacked, against a stochastic defense.

    Every utterance of a batch is attacked as if alone: its own radius, its own unit step, its own
    random streams. Source: paper, eq. 1.
    """

    norm: Literal["linf", "l2", "snr"] = "snr"
    eps: float | None = None
    db: float | None = None
    ratio: float | None = None
    steps: int = 100
    step: float = 0.2
    random_start: bool = False
    restarts: int = 1
    eot: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.restarts < 1 or self.eot < 1 or self.step <= 0:
            raise ValueError("steps, restarts, eot and step must be positive")
        if not math.isfinite(self.step):
            raise ValueError(f"step must be finite, got {self.step}")
        _ = self.budget

    @property
    def budget(self) -> Budget:
        """The ball that perturbations stay in."""
        return budget(self.norm, self.eps, self.db, self.ratio)

    @property
    def evaluations(self) -> int:
        """Losses that one call evaluates."""
        return self.restarts * (self.steps + (self.restarts > 1))

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        if self.eot > 1:
            model = Expected(model, self.eot)
        best = self._run(model, audio, goal, draws.fork("run 0"), self.random_start)
        if self.restarts == 1:
            return audio.with_wav(audio.wav + best)
        judge = draws.fork("choose")  # the same draws for every restart
        lowest = _value(model, audio, best, goal, judge)
        for run in range(1, self.restarts):
            delta = self._run(model, audio, goal, draws.fork(f"run {run}"), start=True)
            value = _value(model, audio, delta, goal, judge)
            better = value < lowest
            best = torch.where(better[:, None], delta, best)
            lowest = torch.where(better, value, lowest)
        return audio.with_wav(audio.wav + best)

    def _run(
        self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws, start: bool
    ) -> Tensor:
        clean, mask, ball = audio.wav, audio.mask, self.budget
        length = (self.step * ball.radius(audio))[:, None]
        delta = torch.zeros_like(clean)
        if start:
            delta = ball.random(audio, draws.fork("start"))
        for number in range(self.steps):
            x = (clean + delta).requires_grad_()
            loss = goal.loss(model, Audio(x, audio.lengths, audio.rate), draws.fork(number))
            (gradient,) = torch.autograd.grad(loss.sum(), x)
            with torch.no_grad():
                descent = ball.step(_finite(gradient) * mask, audio)
                delta = within_scale(ball.project(delta - length * descent, audio), clean)
        return delta


def _finite(gradient: Tensor) -> Tensor:
    """The gradient itself; one that is not finite must not pass for one that is zero."""
    broken = (~torch.isfinite(gradient)).any(1).nonzero().flatten().tolist()
    if broken:
        raise AttackError(
            f"the gradient of utterance(s) {broken} of the batch is NaN or Inf: an attack on it "
            "would find nothing and the system would look robust; mend the model or the defense"
        )
    return gradient


def within_scale(delta: Tensor, clean: Tensor) -> Tensor:
    """Clip ``clean + delta`` to full scale; a file that is louder already keeps its own peaks."""
    return torch.clamp(clean + delta, clean.clamp(max=-1.0), clean.clamp(min=1.0)) - clean


@torch.no_grad()
def _value(model: Recognizer, audio: Audio, delta: Tensor, goal: Goal, draws: Draws) -> Tensor:
    return goal.loss(model, audio.with_wav(audio.wav + delta), draws)


@dataclass(frozen=True)
class Noise(Aim):
    """White Gaussian noise scaled to the very edge of a budget: the control of every table.

    An attack that does no better than this has found nothing. Options as for :class:`PGD`. For
    linf the noise is ``+-eps``, the largest that fits.
    """

    norm: Literal["linf", "l2", "snr"] = "snr"
    eps: float | None = None
    db: float | None = None
    ratio: float | None = None
    evaluations = 0

    def __post_init__(self) -> None:
        _ = self.budget

    @property
    def budget(self) -> Budget:
        """The ball that perturbations stay in."""
        return budget(self.norm, self.eps, self.db, self.ratio)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        ball = self.budget
        white = draws.normal(audio.wav) * audio.mask
        delta = ball.step(white, audio) * ball.radius(audio)[:, None]
        delta = within_scale(ball.project(delta, audio), audio.wav)
        return audio.with_wav(audio.wav + delta)

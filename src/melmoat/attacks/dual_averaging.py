"""Dual averaging (Nesterov 2009, "Primal-dual subgradient methods for convex problems").

Gradient descent moves on from the last point. Dual averaging moves from the clean audio, against
the sum of all gradients so far, each of unit norm: to the point of the ball where this sum promises
the least loss. So noise in the gradients averages out over the steps. Against a stochastic defense
it is stronger than AutoPGD with as many draws, and weaker than PGD (docs/standard.md has figures).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.budgets import TINY, within_scale
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import GradientSearch, Walkers
from melmoat.draws import Draws

SOFT = 1.0  # in the box a sum of gradients below this times their mean moves its sample less far


@dataclass(frozen=True)
class DualAveraging(GradientSearch):
    """Moves from the clean audio against the sum of all gradients so far.

    All points lie on the surface of the l2 ball. In the box, samples on which the gradients
    disagree move less far. Only the first gradient is taken at the start. Budget as for
    :class:`ThreatModel`, other options as for :class:`GradientSearch`.
    """

    def walk(
        self, oracle: LossOracle, delta: Tensor, draws: Draws, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One run; see :class:`melmoat.attacks.search.Search`."""
        choose = self.choice(oracle)
        score = torch.zeros_like(delta)
        walkers = Walkers(delta, active)
        for number in range(self.steps + 1):
            last = number == self.steps
            evaluation = oracle(delta, draws.fork(number), walkers.active, gradient=not last)
            walkers.meet(delta, evaluation)
            if last or not walkers.active.any():
                break
            score = score + _unit(evaluation.gradient)
            delta = torch.where(walkers.active[:, None], choose(score), delta)
        return walkers.best, walkers.won

    def choice(self, oracle: LossOracle) -> Callable[[Tensor], Tensor]:
        """The perturbation within the budget where a sum of gradients promises the least loss.

        Shape: ``[B, T]`` -> ``[B, T]``.
        """
        audio, ball = oracle.clean, self.budget
        radius = ball.radius(audio)[:, None]

        def choose(score: Tensor) -> Tensor:
            # A sample at full scale has no room outwards, and must not take a share of the budget.
            score = score.masked_fill(within_scale(-score.sign(), audio.wav) == 0, 0)
            if self.norm == "linf":
                mean = score.abs().sum(1, keepdim=True) / audio.lengths[:, None]
                direction = (score / (SOFT * mean).clamp(min=TINY)).clamp(-1, 1)
            else:
                direction = ball.step(score, audio)
            return within_scale(-radius * direction, audio.wav)

        return choose


def _unit(gradient: Tensor) -> Tensor:
    """Each gradient with norm 1, or zero. Without its largest sample first, the squares of a tiny
    one would underflow, and one step would outweigh all others. Shape: ``[B, T]``."""
    scaled = gradient / gradient.abs().amax(1, keepdim=True).clamp(min=TINY)
    return scaled / scaled.square().sum(1, keepdim=True).sqrt().clamp(min=TINY)

"""The imperceptible attack (Qin et al. 2019): perturbations that the speech masks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.base import Goal
from melmoat.attacks.cw import Shrinking, on_grid
from melmoat.attacks.masking import Masking
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import check, passes
from melmoat.audio import PCM16, Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer

GROWTH, PATIENCE = 1.2, 20  # of the weight of the excess, while the goal is reached
DECAY, DESPAIR = 0.8, 50  # while the goal is not reached
LEAST = 0.01  # least weight, as a share of the first; in the source 0.0005 of 0.05


@dataclass(frozen=True, kw_only=True)
class Imperceptible(Shrinking):
    """Qin et al. 2019: reach the goal, then hide below the masking threshold of the speech.

    The first stage is that of :class:`melmoat.attacks.cw.CW`. The second stage continues with
    ``loss + alpha * excess``. The excess is the part above the threshold
    (:class:`melmoat.attacks.masking.Masking`). The success with the least excess is kept. ``alpha``
    grows by a fifth after every 20 steps that reach the goal, and falls by a fifth after every 50
    that do not.

    Args:
        steps: steps of the first stage.
        lr: learning rate of the first stage.
        hiding: steps of the second stage.
        hiding_lr: its learning rate, of full scale 1.
        alpha: initial weight of the excess (a widespread toolkit: 1.2). If ``hiding`` is hundreds
            of steps and not thousands, begin lower, for example at 1e-4.

    Source: "Imperceptible, robust, and targeted adversarial examples for automatic speech
    recognition", section 4. Other options as for :class:`melmoat.attacks.cw.Shrinking`.
    """

    eps: float = 2000 / PCM16
    steps: int = 1000
    lr: float = 100 / PCM16
    decrease: float = 0.8
    every: int = 10
    hiding: int = 4000
    hiding_lr: float = 1 / PCM16
    alpha: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, hiding=self.hiding, hiding_lr=self.hiding_lr, alpha=self.alpha)

    @property
    def evaluations(self) -> int:
        """Number of loss evaluations of one call."""
        return (self.steps + self.hiding + 2) * passes(self)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        oracle = self.oracle(model, audio, goal)
        reached = self.shrink(oracle, draws.fork("reach"), lambda gradient, used: gradient.sign())
        return oracle.crafted(self.hide(oracle, draws.fork("hide"), reached))

    def hide(self, oracle: LossOracle, draws: Draws, delta: Tensor) -> Tensor:
        """The success with the least excess, searched from ``delta``; ``delta`` if there is none.

        Shape: ``[B, T]``.
        """
        clean, masking = oracle.clean, Masking(oracle.clean)
        best, delta = delta, delta.clone()
        adam = torch.optim.Adam([delta], self.hiding_lr)
        least = torch.full_like(delta[:, 0], torch.inf)
        alpha = torch.full_like(least, self.alpha)
        box = torch.full_like(delta[:, :1], self.eps)
        for number in range(self.hiding + 1):
            rounded = on_grid(delta, box, clean).requires_grad_()
            evaluation = oracle(rounded.detach(), draws.fork(number), gradient=number < self.hiding)
            excess = masking.excess(rounded)
            better = evaluation.reached & (excess < least)
            best = torch.where(better[:, None], rounded.detach(), best)
            least = torch.where(better, excess.detach(), least)
            if number == self.hiding:
                break
            (slope,) = torch.autograd.grad(excess.sum(), rounded)
            delta.grad = evaluation.gradient + alpha[:, None] * slope
            if number % PATIENCE == 0:
                alpha = torch.where(evaluation.reached, alpha * GROWTH, alpha)
            if number % DESPAIR == 0:
                alpha = torch.where(
                    evaluation.reached, alpha, (alpha * DECAY).clamp(min=LEAST * self.alpha)
                )
            adam.step()
            delta.clamp_(-self.eps, self.eps)
        return best

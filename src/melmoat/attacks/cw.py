"""Carlini & Wagner's attacks: the smallest perturbation that still reaches the goal.

Adam searches for the goal inside a box. Each time the goal is reached, the box shrinks, and the
last perturbation that reached it is kept. Perturbations are rounded to 16 bits before they are
evaluated, as in a file: the last success is close to failure, where rounding matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from melmoat.attacks.base import Access, AttackError, Goal, Objective, Targeted
from melmoat.attacks.budgets import TINY, Linf, within_scale
from melmoat.attacks.margin import Margin
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import check, passes
from melmoat.audio import PCM16, Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True, kw_only=True)
class Shrinking(Objective):
    """A search in a box that shrinks with each success.

    Args:
        eps: half of the box's initial width, of full scale 1.
        steps: steps of Adam.
        lr: Adam's learning rate, of full scale 1.
        decrease: factor on the box at each success, after the box is cut to the used size.
        every: steps between checks of whether to shrink.
        eot: draws whose mean loss is attacked, against a stochastic defense. A success must hold
            under every draw.
        confirm: further draws under which a success must also hold before the box shrinks. Use some
            against a stochastic defense. Otherwise each chance success shrinks the box, and only
            the luckiest one is kept.
        chunk: draws evaluated at once, to limit memory; None evaluates all.
    """

    access: ClassVar[Access] = "white-box"
    eps: float
    steps: int
    lr: float
    decrease: float
    every: int
    eot: int = 1
    chunk: int | None = None
    confirm: int = 0

    def __post_init__(self) -> None:
        check(self, steps=self.steps, lr=self.lr, every=self.every)
        if not 0 < self.decrease <= 1:
            raise ValueError(f"decrease must be in (0, 1], got {self.decrease}")
        _ = self.budget

    @property
    def budget(self) -> Linf:
        """The box before it shrinks."""
        return Linf(self.eps)

    @property
    def evaluations(self) -> int:
        """Number of loss evaluations of one call."""
        return (self.steps + 1) * passes(self)

    def oracle(self, model: Recognizer, audio: Audio, goal: Goal) -> LossOracle:
        """The loss oracle of ``model``; it reports successes."""
        return LossOracle(model, audio, goal, self.eot, self.chunk, True, self.confirm)

    def shrink(
        self, oracle: LossOracle, draws: Draws, slope: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """The last perturbation that reached the goal; if none did, the last one tried.

        As in the sources, ``delta`` stays in the first box and is multiplied by a shrinking factor.
        In the sources a sample that left the box has no gradient and stays outside. Here it is put
        back on the edge.

        Args:
            oracle: evaluates the loss and reports successes.
            draws: randomness of the recognizer.
            slope: the direction that Adam descends, from the loss's gradient and the perturbation.
                Until the goal is first reached, it gets zeros instead of the perturbation.

        Shape: ``[B, T]``.
        """
        clean = oracle.clean
        delta = torch.zeros_like(clean.wav)
        adam = torch.optim.Adam([delta], self.lr)
        factor = torch.ones_like(delta[:, :1])
        best, won = delta.clone(), torch.zeros_like(factor, dtype=torch.bool)
        for number in range(self.steps + 1):
            used = factor * delta
            rounded = on_grid(used, self.eps * factor, clean)
            clean_heard, perturbed = ~rounded.any(1, keepdim=True), won & best.any(1, keepdim=True)
            # A success whose box is less than one step cannot become smaller.
            active = ~(clean_heard & perturbed)[:, 0]
            evaluation = oracle(rounded, draws.fork(number), active, gradient=number < self.steps)
            reached = evaluation.reached[:, None]
            # Clean audio reached the goal by chance of a draw: start again.
            chance = ~reached & won & clean_heard & ~perturbed
            factor = torch.where(chance, 1.0, factor)
            won = (won & ~chance) | reached
            best = torch.where(reached | ~won, rounded, best)
            if number == self.steps:
                break
            delta.grad = slope(evaluation.gradient, used * won)
            if number % self.every == 0:
                widest = delta.abs().amax(1, keepdim=True) / max(self.eps, TINY)
                smaller = self.decrease * torch.minimum(factor, widest)
                factor = torch.where(reached, smaller, factor)
            adam.step()
            delta.clamp_(-self.eps, self.eps)
        return best


@dataclass(frozen=True, kw_only=True)
class CW(Shrinking):
    """The paper's Carlini-Wagner attack, in a box that shrinks with each success.

    Adam follows the sign of the gradient. It is the first stage of Qin et al. 2019, "Imperceptible,
    robust, and targeted adversarial examples for automatic speech recognition"; the toolkit of the
    paper runs it under the name of Carlini and Wagner. Only the recognizer's loss is lowered.
    Options as for :class:`Shrinking`; ``decrease`` is 0.5 in the paper's framework, 0.8 in the
    toolkit.
    """

    eps: float = 0.01
    steps: int = 400
    lr: float = 1e-4
    decrease: float = 0.5
    every: int = 1

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        oracle = self.oracle(model, audio, goal)
        return oracle.crafted(self.shrink(oracle, draws, lambda gradient, used: gradient.sign()))


@dataclass(frozen=True, kw_only=True)
class CW2018(Shrinking):
    """Carlini & Wagner 2018, with their norm penalty or their margin loss.

    It lowers ``||delta||^2 + c * loss`` ("Audio adversarial examples"). The norm counts only after
    the first success. Before that, it could keep an utterance from its goal forever, and the box
    limits the loudness anyway.

    Args:
        c: weight of the recognizer's loss (nats) against the squared norm (full scale 1).
        loss: the CTC loss, or the margin loss of their section III-D. The margin needs a CTC
            recognizer and a targeted attack.
        confidence: nats by which the margin loss wants each frame's label to lead.

    The source takes up to 5000 steps. Other options as for :class:`Shrinking`.
    """

    eps: float = 2000 / PCM16
    steps: int = 1000
    lr: float = 10 / PCM16
    decrease: float = 0.8
    every: int = 10
    c: float = 1.0
    loss: Literal["ctc", "margin"] = "ctc"
    confidence: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check(self, c=self.c)
        if self.confidence and self.loss != "margin":
            raise ValueError("confidence has an effect only with loss=margin")

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        if self.loss == "margin":
            if not isinstance(goal, Targeted):
                raise AttackError("loss=margin takes a target: add target=TEXT or target=matched")
            model = Margin(model, self.confidence)
        oracle = self.oracle(model, audio, goal)
        return oracle.crafted(
            self.shrink(oracle, draws, lambda gradient, used: self.c * gradient + 2 * used)
        )


def on_grid(delta: Tensor, bound: Tensor, clean: Audio) -> Tensor:
    """``delta`` in steps of a 16-bit file, within ``bound`` ``[B, 1]`` and within full scale.

    Shape: ``[B, T]``.
    """
    # Add a little, or a bound of 3 steps in floats would allow only 2. The addition is relative to
    # the bound, or a tiny bound would be exceeded.
    steps = torch.floor(bound * PCM16 * (1 + 1e-5))
    rounded = torch.clamp(torch.round(delta * PCM16), -steps, steps) / PCM16
    return within_scale(rounded, clean.wav)

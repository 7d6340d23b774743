"""AutoPGD (Croce & Hein 2020, "Reliable evaluation of adversarial robustness", algorithm 1).

Projected gradient descent without a step length to choose. The step begins at twice the radius. At
each checkpoint it is halved for utterances whose loss has stopped falling; these continue from
their best point, without inertia. (In the authors' code the inertia of the last move acts once
more, though that move was made at another point.)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.budgets import within_scale
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import GradientSearch
from melmoat.draws import Draws

INERTIA = 0.75  # share of the new direction in a step (the paper's alpha)
PROGRESS = 0.75  # share of steps that must lower the loss between checkpoints (rho)


def checkpoints(steps: int) -> list[int]:
    """Steps at which the step length is checked; they come closer and closer (section 3.2).

    >>> checkpoints(100)
    [0, 22, 41, 57, 70, 80, 87, 93, 99]
    """
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    # Subtract a little, or float sums such as 0.41000000000000003 would be rounded up.
    steps_at = [-int(-(share * steps - 1e-9) // 1) for share in shares]
    return sorted({n for n in steps_at if n < steps})


@dataclass(frozen=True)
class APGD(GradientSearch):
    """AutoPGD: gradient descent that finds its own step lengths.

    Budget as for :class:`ThreatModel`, other options as for :class:`GradientSearch`.
    """

    def walk(
        self, oracle: LossOracle, delta: Tensor, draws: Draws, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One run; see :class:`melmoat.attacks.search.Search`."""
        audio, ball = oracle.clean, self.budget

        def inside(point: Tensor) -> Tensor:
            return within_scale(ball.project(point, audio), audio.wav)

        evaluation = oracle(delta, draws.fork(0), active)
        gradient, loss = evaluation.gradient, evaluation.loss
        best, lowest, slope = delta, loss, gradient
        before = delta  # the point before this one
        won, active = evaluation.reached, active & ~evaluation.reached
        length = 2 * ball.radius(audio)
        falls = torch.zeros_like(loss)  # steps since the checkpoint that lowered the loss
        halved, lowest_then = torch.zeros_like(active), lowest
        marks = checkpoints(self.steps)
        for number in range(1, self.steps + 1):
            if not active.any():
                break
            straight = inside(delta - length[:, None] * ball.step(gradient, audio))
            inertia = 1.0 if number == 1 else INERTIA
            moved = inside(delta + inertia * (straight - delta) + (1 - inertia) * (delta - before))
            before, delta = delta, torch.where(active[:, None], moved, delta)
            evaluation = oracle(delta, draws.fork(number), active, gradient=number < self.steps)
            falls += evaluation.loss < loss
            gradient, loss = evaluation.gradient, evaluation.loss
            better = active & (evaluation.reached | (loss < lowest))
            best = torch.where(better[:, None], delta, best)
            slope = torch.where(better[:, None], gradient, slope)
            lowest = torch.where(better, loss, lowest)
            won, active = won | evaluation.reached, active & ~evaluation.reached
            if number in marks:
                since = number - marks[marks.index(number) - 1]
                stuck = ~halved & (lowest >= lowest_then)
                halved = (falls < PROGRESS * since) | stuck
                length = torch.where(halved, length / 2, length)
                again = halved[:, None]
                delta, gradient = (
                    torch.where(again, best, delta),
                    torch.where(again, slope, gradient),
                )
                before, loss = torch.where(again, best, before), torch.where(halved, lowest, loss)
                falls, lowest_then = torch.zeros_like(falls), lowest
        return best, won

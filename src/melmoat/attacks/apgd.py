"""AutoPGD (Croce & Hein 2020, "Reliable evaluation of adversarial robustness", algorithm 1).

Projected gradient descent without a step length to choose. The step begins at twice the radius. At
each checkpoint it is halved for utterances whose loss has stopped falling; these continue from
their best point, without inertia. (In the authors' code the inertia of the last move acts once
more, though that move was made at another point.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from melmoat.attacks.base import Access, Goal, ThreatModel
from melmoat.attacks.budgets import within_scale
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import Keep, Loss, check_search, passes, search
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer

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
class APGD(ThreatModel):
    """AutoPGD: gradient descent that finds its own step lengths.

    Args:
        steps: gradient steps.
        random_start: begin at a random point of the ball instead of at the clean audio.
        restarts: number of runs; the one with the least final loss is kept. All except the first
            start at random.
        eot: draws whose mean loss is attacked, against a stochastic defense.
        stop: stop attacking an utterance when its goal is reached under every draw.
        chunk: draws evaluated at once, to limit memory; None evaluates all.
        confirm: further draws that must all reach the goal before ``stop`` applies.
        keep: which point is kept: by ``loss``, or the one with most ``errors`` in the transcripts
            that the attack saw. (Only greedy CTC recognizers transcribe for free. For others the
            loss decides.)
        loss: the ``sequence`` loss of the recognizer, or the ``margin`` of the text's best path
            (:mod:`melmoat.attacks.path_margin`).

    The point of least loss is kept. Budget as for :class:`ThreatModel`.
    """

    access: ClassVar[Access] = "white-box"
    steps: int = 100
    random_start: bool = False
    restarts: int = 1
    eot: int = 1
    stop: bool = False
    chunk: int | None = None
    confirm: int = 0
    keep: Keep = "loss"
    loss: Loss = "sequence"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_search(self, steps=self.steps)

    @property
    def evaluations(self) -> int:
        """Most loss evaluations of one call."""
        return self.restarts * (self.steps + 1 + (self.restarts > 1)) * passes(self)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        return search(self, model, audio, goal, draws)

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

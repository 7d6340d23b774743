"""Options, restarts and early stopping of the attacks that walk inside a ball."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol

import torch
from torch import Tensor

from melmoat.attacks.base import Access, Goal, ThreatModel, Untargeted
from melmoat.attacks.budgets import Budget, within_scale
from melmoat.attacks.endless import ENDLESS
from melmoat.attacks.oracle import Crafted, Evaluation, LossOracle
from melmoat.attacks.path_margin import LOST, path_margin
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer

Keep = Literal["loss", "errors"]
Loss = Literal["sequence", "margin"]


class Averaging(Protocol):
    """An attack that may average its loss over draws."""

    @property
    def eot(self) -> int:
        """Draws whose mean loss is attacked."""
        ...

    @property
    def chunk(self) -> int | None:
        """Draws evaluated at once."""
        ...


class Search(Averaging, Protocol):
    """An attack that walks inside a ball, once or several times."""

    @property
    def restarts(self) -> int:
        """Number of walks; the one with the least final loss is kept. All but the first start at
        random."""
        ...

    @property
    def random_start(self) -> bool:
        """Whether the first walk also starts at random."""
        ...

    @property
    def stop(self) -> bool:
        """Whether to stop attacking an utterance that reached its goal."""
        ...

    @property
    def keep(self) -> Keep:
        """Whether the point of least loss is kept, or the one with most errors."""
        ...

    @property
    def loss(self) -> Loss:
        """The loss that is attacked."""
        ...

    @property
    def target(self) -> str | None:
        """The transcript that is wanted, if one is."""
        ...

    @property
    def confirm(self) -> int:
        """Further draws that must also reach the goal before ``stop`` applies."""
        ...

    @property
    def budget(self) -> Budget:
        """The budget, a ball."""
        ...

    def walk(
        self, oracle: LossOracle, delta: Tensor, draws: Draws, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The end of one walk from ``delta``, and which utterances reached the goal (``stop``
        only).

        Utterances that are not ``active`` are neither evaluated nor moved.

        Shape: ``[B, T]``, ``[B]``.
        """
        ...


def check(attack: Averaging, **positive: float) -> None:
    """Raise ValueError for counts and lengths that are not positive."""
    counts = {"eot": attack.eot, "chunk": 1 if attack.chunk is None else attack.chunk}
    for name, value in (positive | counts).items():
        if not value > 0 or value == float("inf"):
            raise ValueError(f"{name} must be positive and finite, got {value}")


def check_search(attack: Search, **positive: float) -> None:
    """:func:`check`, and check that every option has an effect."""
    check(attack, restarts=attack.restarts, **positive)
    if attack.confirm and not attack.stop:
        raise ValueError("confirm has an effect only with stop=true")
    if attack.loss == "margin" and attack.target == ENDLESS:
        raise ValueError(f"target={ENDLESS} has a loss of its own; leave out loss=margin")


def passes(attack: Averaging) -> int:
    """Losses per evaluation: one for each chunk of draws."""
    return -(-attack.eot // (attack.chunk or attack.eot))


def search(attack: Search, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Crafted:
    """Walk as often as ``attack`` says, and keep the best end point of each utterance."""
    if attack.loss == "margin":
        wanted = getattr(goal, "inner", goal)  # a detector may be fooled besides
        model = path_margin(model, LOST if isinstance(wanted, Untargeted) else 1.0)
    oracle = LossOracle(
        model,
        audio,
        goal,
        attack.eot,
        attack.chunk,
        attack.stop,
        attack.confirm,
        worst=attack.keep == "errors",
    )

    def start(streams: Draws, at_random: bool) -> Tensor:
        if not at_random:
            return torch.zeros_like(audio.wav)
        return within_scale(attack.budget.random(audio, streams.fork("start")), audio.wav)

    everyone = torch.ones(len(audio), dtype=torch.bool, device=audio.wav.device)
    streams = draws.fork("run 0")
    best, done = attack.walk(oracle, start(streams, attack.random_start), streams, everyone)
    if attack.restarts == 1:
        return oracle.crafted(best)
    judge = draws.fork("choose")  # the same draws for every restart
    lowest = oracle(best, judge, ~done, gradient=False).loss
    for run in range(1, attack.restarts):
        streams, active = draws.fork(f"run {run}"), ~done
        delta, won = attack.walk(oracle, start(streams, True), streams, active)
        value = oracle(delta, judge, active, gradient=False).loss
        better = active & (won | (value < lowest))
        best = torch.where(better[:, None], delta, best)
        lowest = torch.where(better, value, lowest)
        done = done | won
    return oracle.crafted(best)


class Walkers:
    """The point of least loss that each utterance has met, and which utterances still walk.

    Attributes:
        best: those points. Shape: ``[B, T]``.
        won: utterances that reached the goal. Shape: ``[B]``.
        active: utterances that go on. Shape: ``[B]``.
    """

    def __init__(self, delta: Tensor, active: Tensor) -> None:
        self.best, self.active = delta, active
        self.won = torch.zeros_like(active)
        self._lowest = torch.full_like(delta[:, 0], torch.inf)

    def meet(self, delta: Tensor, evaluation: Evaluation) -> None:
        """Keep ``delta`` where it is better. Utterances that reached the goal stop."""
        better = self.active & (evaluation.reached | (evaluation.loss < self._lowest))
        self.best = torch.where(better[:, None], delta, self.best)
        self._lowest = torch.where(better, evaluation.loss, self._lowest)
        self.won = self.won | evaluation.reached
        self.active = self.active & ~evaluation.reached


@dataclass(frozen=True)
class GradientSearch(ThreatModel):
    """A walk inside the ball, led by gradients, without a step length to choose.

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

    The point of least loss is kept.
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
        """As :class:`melmoat.attacks.Attack`."""
        return search(self, model, audio, goal, draws)

    @abstractmethod
    def walk(
        self, oracle: LossOracle, delta: Tensor, draws: Draws, active: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One run; see :class:`Search`."""

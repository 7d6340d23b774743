"""What the attacks share that see transcripts alone: many points of a ball, heard and counted.

No gradient, probability or score of the recognizer is used, so these attacks work on any service
that answers audio with text. Every transcript of an utterance is one query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.base import Ball, Goal
from melmoat.attacks.budgets import Budget, within_scale
from melmoat.attacks.probe import NEVER, Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True)
class Population(Ball):
    """An attack that hears a population of points each round and keeps the best of all.

    Args:
        queries: most transcripts of each utterance; what is left of a whole round is not used.
        population: points of a round.
        eot: draws under which each point is heard, against a stochastic defense: their mean is its
            score, and the goal counts as reached where it is under all of them. Every one is a
            query.
        stop: leave an utterance alone once its goal is reached.
        chunk: points heard at once, to bound memory; all if none.

    What the points are scored by is :meth:`melmoat.attacks.base.Goal.distances`. Budget as for
    :class:`Ball`.
    """

    queries: int = 1000
    population: int = 50
    eot: int = 1
    stop: bool = False
    chunk: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eot < 1:
            raise ValueError(f"eot must be at least 1, got {self.eot}")
        if not 1 < self.population <= self.queries // self.eot:
            raise ValueError(
                "population must be at least 2 and queries at least one population under every "
                f"draw, got {self.population}, {self.queries} and eot={self.eot}"
            )
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk must be at least 1, got {self.chunk}")

    @property
    def rounds(self) -> int:
        """Populations that the queries pay for."""
        return self.queries // (self.population * self.eot)

    @property
    def evaluations(self) -> int:
        """Batches that one call transcribes, at most."""
        return self.rounds * self.eot * -(-self.population // (self.chunk or self.population))


class Listener:
    """Hears points around clean audio, counts, and keeps the best of each utterance.

    Points have the shape ``[P, B, T]``: a perturbation of every utterance in each of ``P`` places.

    Attributes:
        active: utterances that are still attacked. Shape: ``[B]``, bool.
    """

    def __init__(
        self, attack: Population, model: Recognizer, clean: Audio, goal: Goal, draws: Draws
    ) -> None:
        self.ball: Budget = attack.budget
        self.clean = clean
        self.many = clean.repeat(attack.population)
        self.active = torch.ones(len(clean), dtype=torch.bool, device=clean.wav.device)
        self._attack, self._model, self._goal, self._draws = attack, model, goal, draws
        self._best = torch.zeros_like(clean.wav)
        self._lowest = torch.full((len(clean),), torch.inf)
        self._queries = torch.zeros(len(clean), dtype=torch.long)
        self._first = torch.full((len(clean),), NEVER)
        self._round = 0

    def rounds(self) -> Iterator[Draws]:
        """The randomness of each round, while there are queries and utterances left."""
        for number in range(self._attack.rounds):
            if self.active.any():
                self._round = number
                yield self._draws.fork(number)

    def units(self, draws: Draws, count: int) -> Tensor:
        """Random directions of unit norm. Shape: ``[count, B, T]``."""
        shape = (len(self.clean), count, self.clean.wav.shape[1])
        white = draws.normal(self.clean.wav.new_empty(shape)).movedim(1, 0)
        some = self.clean.repeat(count)
        flat = self.ball.step(white.reshape(some.wav.shape) * some.mask, some)
        return flat.reshape(white.shape)

    def inside(self, points: Tensor) -> Tensor:
        """The nearest allowed points, within full scale. Shape: ``[P, B, T]``."""
        flat = points.reshape(self.many.wav.shape)
        return within_scale(self.ball.project(flat, self.many), self.many.wav).reshape(points.shape)

    def hear(self, points: Tensor, draws: Draws) -> Tensor:
        """How far from the goal each point is, zero where no one is attacked. Shape: ``[P, B]``."""
        rows = self.active.nonzero().flatten().tolist()
        size = self._attack.chunk or len(points)
        goal, clean = self._goal.pick(rows), self.clean.pick(rows)
        found = torch.zeros(points.shape[:2])
        won = torch.zeros(points.shape[:2], dtype=torch.bool)
        won[:, rows] = True  # until a draw says otherwise
        for start in range(0, len(points), size):
            part = points[start : start + size, rows, : clean.wav.shape[1]]
            some = clean.repeat(len(part))
            numbers = range(start, start + len(part))
            audio = some.with_wav(some.wav + part.reshape(some.wav.shape))
            for draw in range(self._attack.eot):
                streams = [draws.fork(number).pick(rows) for number in numbers]
                again = [own.fork(draw) for own in streams] if draw else streams
                texts = self._model.transcribe(audio, Draws.cat(again))
                for number, offset in zip(numbers, range(0, len(texts), len(rows)), strict=True):
                    heard = texts[offset : offset + len(rows)]
                    found[number, rows] += torch.tensor(goal.distances(heard)) / self._attack.eot
                    won[number, rows] &= torch.tensor(goal.reached(heard))
        self._queries[rows] += len(points) * self._attack.eot
        self._keep(points, found, won)
        return found

    def _keep(self, points: Tensor, found: Tensor, won: Tensor) -> None:
        lowest, place = found.min(0)
        better = self.active.cpu() & (lowest < self._lowest)
        self._lowest = torch.where(better, lowest, self._lowest)
        there = points[place, torch.arange(points.shape[1])]
        self._best = torch.where(better.to(points.device)[:, None], there, self._best)
        reached = won.any(0)
        self._first[reached & (self._first == NEVER)] = self._round
        if self._attack.stop:
            self.active = self.active & ~reached.to(self.active.device)

    def crafted(self) -> Crafted:
        """The best point of each utterance and what it took."""
        clean = self.clean
        wav = (clean.wav + self._best) * clean.mask
        return Crafted(wav, clean.lengths, clean.rate, self._first, self._queries)

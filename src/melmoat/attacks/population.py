"""The base of attacks that see only transcripts: they transcribe many points of a ball.

No gradient, probability or score of the recognizer is used, so these attacks work on any service
that answers audio with text. Every transcript of an utterance is one query.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from melmoat.attacks.base import Access, Goal, ThreatModel
from melmoat.attacks.budgets import Budget, within_scale
from melmoat.attacks.oracle import NEVER, Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True)
class Population(ThreatModel):
    """An attack that transcribes a population of points in each round and keeps the best point.

    Args:
        queries: most transcripts of each utterance; queries that do not fill a round are not used.
        population: points per round.
        eot: draws for each point, against a stochastic defense. The score of a point is their mean,
            and the goal counts as reached if it is reached in all of them. Each draw is a query.
        stop: stop attacking an utterance when its goal is reached.
        chunk: points transcribed at once, to limit memory; None takes all.

    The score of a point is :meth:`melmoat.attacks.base.Goal.distances`. Budget as for
    :class:`ThreatModel`.
    """

    access: ClassVar[Access] = "black-box"
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
        """Number of populations that the queries allow."""
        return self.queries // (self.population * self.eot)

    @property
    def evaluations(self) -> int:
        """Most batches that one call transcribes."""
        return self.rounds * self.eot * -(-self.population // (self.chunk or self.population))


class Listener:
    """Transcribes points around clean audio, counts queries, and keeps the best point of each
    utterance.

    A point is a perturbation of every utterance. Shape: ``[B, T]``. Points are made only when they
    are transcribed, ``chunk`` at a time, because a population of a batch is as large as hours of
    audio.

    Attributes:
        active: utterances that are still attacked. Shape: ``[B]``, bool.
    """

    def __init__(
        self, attack: Population, model: Recognizer, clean: Audio, goal: Goal, draws: Draws
    ) -> None:
        self.ball: Budget = attack.budget
        self.clean = clean
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

    def unit(self, draws: Draws, number: int) -> Tensor:
        """A random direction of unit norm, the same for the same number. Shape: ``[B, T]``."""
        white = draws.fork(number).normal(self.clean.wav) * self.clean.mask
        return self.ball.step(white, self.clean)

    def inside(self, point: Tensor) -> Tensor:
        """The nearest allowed point, within full scale. Shape: ``[B, T]``."""
        return within_scale(self.ball.project(point, self.clean), self.clean.wav)

    def hear(self, point: Callable[[int], Tensor], draws: Draws) -> Tensor:
        """Distance of each point of a population to the goal; zero for utterances that are not
        attacked.

        Args:
            point: makes the allowed point with this number.
            draws: randomness of the recognizer.

        Shape: ``[P, B]``.
        """
        rows = self.active.nonzero().flatten().tolist()
        count, eot = self._attack.population, self._attack.eot
        size = self._attack.chunk or count
        goal, clean = self._goal.pick(rows), self.clean.pick(rows)
        distances = torch.zeros(count, len(self.clean))
        won = torch.zeros(len(self.clean), dtype=torch.bool)
        for start in range(0, count, size):
            numbers = range(start, min(start + size, count))
            points = torch.stack([point(number)[rows] for number in numbers])
            points = points[..., : clean.wav.shape[1]]
            some = clean.repeat(len(numbers))
            audio = some.with_wav(some.wav + points.reshape(some.wav.shape))
            everywhere = torch.ones(len(numbers), len(rows), dtype=torch.bool)
            for draw in range(eot):
                streams = [draws.fork(number).pick(rows) for number in numbers]
                again = [stream.fork(draw) for stream in streams] if draw else streams
                texts = self._model.transcribe(audio, Draws.cat(again))
                for place, number in enumerate(numbers):
                    transcripts = texts[place * len(rows) : (place + 1) * len(rows)]
                    distances[number, rows] += torch.tensor(goal.distances(transcripts)) / eot
                    everywhere[place] &= torch.tensor(goal.reached(transcripts))
            won[rows] |= everywhere.any(0)
            self._keep(points, distances[start : start + size, rows], rows)
        self._queries[rows] += count * eot
        self._first[won & (self._first == NEVER)] = self._round
        if self._attack.stop:
            self.active = self.active & ~won.to(self.active.device)
        return distances

    def _keep(self, points: Tensor, distances: Tensor, rows: list[int]) -> None:
        """Remember the best of ``points``; they belong to the utterances ``rows``."""
        lowest, place = distances.min(0)
        for i, row in enumerate(rows):
            if lowest[i] < self._lowest[row]:
                self._lowest[row] = lowest[i]
                self._best[row, : points.shape[2]] = points[place[i], i]

    def crafted(self) -> Crafted:
        """The best point of each utterance and its cost."""
        clean = self.clean
        wav = (clean.wav + self._best) * clean.mask
        return Crafted(wav, clean.lengths, clean.rate, self._first, self._queries)

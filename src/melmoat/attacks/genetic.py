"""A genetic algorithm with momentum mutation (Taori et al. 2018) that sees only transcripts."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.base import Goal
from melmoat.attacks.population import Listener, Population
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer

MOMENTUM, BETA = 0.99, 0.001  # of the chance of mutation (the paper's alpha and beta)
FLAT = 0.1  # edit distances are whole numbers: a difference of 0 counts as this


@dataclass(frozen=True)
class Genetic(Population):
    """A genetic search that sees only transcripts; each query counts.

    The fittest perturbations are combined sample by sample, and samples mutate. If the best
    distance does not change, mutation becomes more likely (momentum mutation). The paper scores by
    the recognizer's own loss, begins at the clean audio, and high-passes its noise to make it less
    audible. Here the score is the edit distance, and a budget limits the change, so the population
    begins at the budget's edge.

    Args:
        elite: number of perturbations that become parents.
        mutation: initial probability that a sample mutates.

    Other options as for :class:`Population`.
    """

    elite: int = 10
    mutation: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.elite <= self.population:
            raise ValueError(f"elite must be at least 1 and at most population, got {self.elite}")
        if not 0 <= self.mutation <= 1:
            raise ValueError(f"mutation must be between 0 and 1, got {self.mutation}")

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        listener = Listener(self, model, audio, goal, draws)
        radius = listener.ball.radius(audio)[:, None]
        chance = torch.full((len(audio), 1), self.mutation)
        shape = (self.population, *audio.wav.shape)
        points, children = audio.wav.new_zeros(shape), audio.wav.new_zeros(shape)
        distances = torch.empty(0)
        for round_, streams in enumerate(listener.rounds()):
            mothers, fathers = self._pairs(distances, streams) if round_ else (None, None)
            for number in range(self.population):
                noise = radius * listener.unit(streams.fork("noise"), number)
                if mothers is None or fathers is None:
                    child = noise
                else:
                    mates = points, mothers[number], fathers[number]
                    child = self._child(*mates, noise, chance, streams.fork("mate").fork(number))
                children[number] = listener.inside(child)
            points, children, before = children, points, distances
            distances = listener.hear(points.__getitem__, streams.fork("hear"))
            if round_:
                change = (distances.amin(0) - before.amin(0)).abs().clamp(min=FLAT)
                chance = (MOMENTUM * chance + BETA / change[:, None]).clamp(max=1.0)
        return listener.crafted()

    def _pairs(self, distances: Tensor, streams: Draws) -> tuple[Tensor, Tensor]:
        """Two parents for each child; fitter ones are more likely. Shape: ``[P, B]`` twice."""
        best, order = distances.topk(self.elite, dim=0, largest=False)
        wheel = torch.softmax(-best, dim=0).cumsum(0).T.contiguous()  # [B, elite]
        spins = streams.fork("parents").uniform(wheel.new_empty(len(wheel), 2 * self.population))
        drawn = torch.searchsorted(wheel, spins).clamp(max=self.elite - 1)
        parents = order.T.gather(1, drawn).T  # [2 P, B]
        return parents[: self.population], parents[self.population :]

    @staticmethod
    def _child(
        points: Tensor, mother: Tensor, father: Tensor, noise: Tensor, chance: Tensor, draws: Draws
    ) -> Tensor:
        """Take each sample from one of the parents, then mutate. Shape: ``[B, T]``."""
        columns = torch.arange(points.shape[1], device=points.device)
        coin = draws.uniform(noise)
        child = torch.where(
            coin < 0.5,
            points[mother.to(points.device), columns],
            points[father.to(points.device), columns],
        )
        # Given its outcome, the rest of the coin's random number is uniform again.
        return child + noise * ((2 * coin) % 1 < chance.to(points))

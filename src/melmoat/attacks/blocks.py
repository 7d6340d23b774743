"""A random search over blocks of time and frequency that sees only transcripts.

For speech it is what the Square attack (Andriushchenko et al. 2020) is for images: no gradient and
no score is used, so a masked gradient does not stop it. Each query replaces the perturbation inside
one block (some time, some band) by fresh noise. The change stays if the transcripts did not become
better. Blocks shrink with the number of queries, as the squares do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from melmoat.attacks.base import Access, Goal, ThreatModel
from melmoat.attacks.budgets import within_scale
from melmoat.attacks.oracle import NEVER, Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer

FIRST, LEAST = 0.5, 0.05  # share of the duration that the first and the last blocks cover
OVER = 3.0  # root mean square before the projection, in radii: the ball is always filled
LOUDEST = 10.0  # a block's noise is up to this much louder or softer than the rest


@dataclass(frozen=True)
class Blocks(ThreatModel):
    """Random search over time-frequency blocks; it sees only transcripts, and each query counts.

    An utterance is left alone when its transcripts cannot become worse: no word right in any draw
    (no character, in languages without spaces), or the target reached in all.

    Args:
        queries: most transcripts of each utterance.
        eot: draws for each point, against a stochastic defense. Each draw is a query.

    Budget as for :class:`ThreatModel`.
    """

    access: ClassVar[Access] = "black-box"
    queries: int = 1000
    eot: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.eot <= self.queries:
            raise ValueError(
                f"eot must be at least 1 and at most queries, got {self.eot} and {self.queries}"
            )

    @property
    def rounds(self) -> int:
        """Number of points that the queries allow."""
        return self.queries // self.eot

    @property
    def evaluations(self) -> int:
        """Most batches that one call transcribes."""
        return self.rounds * self.eot

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        best = self._filled(draws.fork("start").normal(audio.wav) * audio.mask, audio)
        lowest = [math.inf] * len(audio)
        active = list(range(len(audio)))
        queries = torch.zeros(len(audio), dtype=torch.long)
        first = torch.full((len(audio),), NEVER)
        for number in range(self.rounds):
            if not active:
                break
            streams = draws.fork(number)
            share = LEAST + (FIRST - LEAST) * (1 - number / self.rounds) ** 2
            tried = best if number == 0 else self._changed(best, audio, active, share, streams)
            scores, reached, done = self._hear(model, audio, tried, goal, active, streams)
            queries[active] += self.eot
            for place, row in enumerate(active):
                if reached[place] and first[row] == NEVER:
                    first[row] = number
                if scores[place] <= lowest[row]:
                    lowest[row], best[row] = scores[place], tried[row]
            active = [row for place, row in enumerate(active) if not done[place]]
        wav = (audio.wav + best) * audio.mask
        return Crafted(wav, audio.lengths, audio.rate, first, queries)

    def _filled(self, delta: Tensor, audio: Audio) -> Tensor:
        """``delta`` as large as the budget allows. Shape: ``[B, T]``."""
        rms = delta.square().sum(1).div(audio.lengths).sqrt().clamp(min=1e-12)
        large = delta * (OVER * self.budget.radius(audio) / rms)[:, None]
        return within_scale(self.budget.project(large, audio), audio.wav)

    def _changed(
        self, delta: Tensor, audio: Audio, active: list[int], share: float, streams: Draws
    ) -> Tensor:
        """``delta`` with fresh noise in one block of each active utterance. Shape: ``[B, T]``."""
        where = streams.fork("where").uniform(audio.wav.new_zeros(len(audio), 4)).tolist()
        new = delta.clone()
        for row in active:
            length = int(audio.lengths[row])
            noise = streams.pick([row]).fork("noise").normal(audio.wav.new_zeros(1, length))[0]
            new[row, :length] = _block(delta[row, :length], noise, share, *where[row])
        return self._filled(new, audio)

    def _hear(
        self,
        model: Recognizer,
        audio: Audio,
        delta: Tensor,
        goal: Goal,
        active: list[int],
        streams: Draws,
    ) -> tuple[list[float], list[bool], list[bool]]:
        """Mean score, whether the goal is reached in all draws, and whether nothing is left to
        gain, for each active utterance."""
        some, chosen = audio.with_wav(audio.wav + delta).pick(active), goal.pick(active)
        heard = [
            model.transcribe(some, streams.pick(active).fork(f"hear {draw}"))
            for draw in range(self.eot)
        ]
        of_draws = [chosen.scores(texts) for texts in heard]
        scores = [sum(of_row) / self.eot for of_row in zip(*of_draws, strict=True)]
        reached = [all(of_row) for of_row in zip(*map(chosen.reached, heard), strict=True)]
        enough = chosen.enough()
        done = [
            all(score <= end for score in of_row)
            for *of_row, end in zip(*of_draws, enough, strict=True)
        ]
        return scores, reached, done


def _block(
    delta: Tensor, noise: Tensor, share: float, start: float, low: float, width: float, gain: float
) -> Tensor:
    """``delta`` with its part in one block replaced by ``noise``. Shape: ``[L]``.

    Args:
        share: of the duration, that the block covers.
        start, low, width: its place in time, the lower end and the width of its band, as uniform
            numbers in [0, 1).
        gain: level of the noise against the rest, also as a uniform number.
    """
    length = len(delta)
    size = max(2, round(share * length))
    begin = round(start * (length - size))
    window = torch.hann_window(size, periodic=False).to(delta).sqrt()
    old = torch.fft.rfft(delta[begin : begin + size])
    fresh = torch.fft.rfft(noise[begin : begin + size])
    bins = len(old)
    band = max(1, round(bins * 2 ** (-4 * width)))  # all of it, down to a sixteenth
    first = round(low * (bins - band))
    inside = torch.zeros(bins, dtype=torch.bool, device=delta.device)
    inside[first : first + band] = True
    level = delta.square().mean().sqrt() * LOUDEST ** (2 * gain - 1)
    change: Tensor = torch.fft.irfft((level * fresh - old) * inside, n=size)
    new = delta.clone()
    new[begin : begin + size] += window * change
    return new

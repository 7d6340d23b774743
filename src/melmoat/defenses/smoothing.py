"""Noise on the waveform: one noisy pass, and randomized smoothing (Cohen et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor

from melmoat import levels
from melmoat.audio import Audio, check_db
from melmoat.defenses.base import FrontEnd
from melmoat.defenses.streaming import STREAMABLE, Noisy, Stage
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.facts import Before
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Voted, smoothed

Level = Annotated[Literal["loudest", "file"], Before("file")]


@dataclass(frozen=True)
class GaussianNoise(FrontEnd):
    """White noise at an SNR or at a fixed level, one pass.

    At an SNR, its level follows the level of the utterance, and the gradient runs through this,
    too. Silence gets no noise. A mean (DC) is kept, but does not count as signal.

    Args:
        snr: expected SNR in dB.
        level: the level that the SNR refers to. ``loudest``: the loudest 0.4 s; nothing around the
            speech can lower it (:mod:`melmoat.levels`). ``file``: the whole recording, as in the
            paper and in every reported SNR. Silence around the speech weakens it, so it is for
            comparison, not for deployment.
        sigma: a fixed level instead of ``snr`` and ``level``: the standard deviation of the noise;
            full scale is 1. Silence gets this noise too, and louder speech does not get more. So
            live audio can get it sample by sample.
    """

    snr: float = 15.0
    level: Level = "loudest"
    sigma: float | None = None
    stochastic = True

    def __post_init__(self) -> None:
        check_db("snr", self.snr)
        if self.sigma is None:
            return
        if not 0 < self.sigma < math.inf:
            raise ValueError(f"sigma must be a positive number, got {self.sigma}")
        if (self.snr, self.level) != (15.0, "loudest"):
            raise ValueError("sigma fixes the level of the noise; leave out snr and level")

    @property
    def dilutes(self) -> bool:
        """Whether silence around the speech weakens the noise on it."""
        return self.level == "file"

    def stream(self, rate: int, draws: Draws) -> Stage:
        if self.sigma is None:
            raise MelmoatError(
                "wgn at an SNR cannot be streamed: the level of the whole recording is not known "
                "before its end. wgn:sigma=0.01 has a fixed level (a standard deviation; full "
                f"scale is 1). These can be streamed: {STREAMABLE}"
            )
        return Noisy(self.sigma, draws)

    def deviation(self, audio: Audio) -> Tensor:
        """The standard deviation of the noise on each utterance. Shape: ``[B]``."""
        if self.sigma is not None:
            return audio.wav.new_full((len(audio),), self.sigma)
        level = audio.rms if self.level == "file" else levels.loudest(audio)
        return level * 10 ** (-self.snr / 20)

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        noise = self.deviation(audio)[:, None] * draws.normal(audio.wav)
        return audio.with_wav(audio.wav + noise)


@dataclass(frozen=True)
class RandomizedSmoothing:
    """Randomized smoothing: several passes with white noise, then a vote.

    This is the paper's baseline. The paper uses ``level=file``.

    Args:
        snr: expected SNR in dB of each vote.
        votes: passes that are averaged.
        vote: ``mean`` of probabilities, or ``rover`` over the words of the passes, for any
            recognizer (its loss is the mean loss of the passes).
        level: the level that the SNR refers to, as in :class:`GaussianNoise`.
    """

    snr: float = 15.0
    votes: int = 5
    vote: Literal["mean", "rover"] = "mean"
    level: Level = "loudest"

    def __post_init__(self) -> None:
        check_db("snr", self.snr)
        if self.votes < 1:
            raise ValueError(f"votes must be at least 1, got {self.votes}")

    def wrap(self, model: Recognizer) -> Recognizer:
        """The smoothed recognizer; ``vote=mean`` needs a CTC or a token recognizer."""
        combined = Voted if self.vote == "rover" else smoothed
        return combined(GaussianNoise(self.snr, self.level).wrap(model), self.votes)

"""Noise on the waveform: one noisy pass, and randomized smoothing (Cohen et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from melmoat.audio import Audio, check_db
from melmoat.defenses.base import FrontEnd
from melmoat.draws import Draws
from melmoat.models.base import Recognizer
from melmoat.models.wrappers import Voted, smoothed


@dataclass(frozen=True)
class GaussianNoise(FrontEnd):
    """White Gaussian noise at a signal-to-noise ratio.

    Its level follows the utterance that comes in, over its true length, and so does its gradient.
    Silence gets none.

    Args:
        snr: expected SNR in dB.
    """

    snr: float = 15.0
    stochastic = True

    def __post_init__(self) -> None:
        check_db("snr", self.snr)

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        level = audio.rms * 10 ** (-self.snr / 20)
        return audio.with_wav(audio.wav + level[:, None] * draws.normal(audio.wav))


@dataclass(frozen=True)
class RandomizedSmoothing:
    """The paper's baseline: noise at an SNR, mean of the character (or token) probabilities.

    Args:
        snr: expected SNR in dB of each vote.
        votes: passes that are averaged.
        vote: ``mean`` of probabilities, or ``rover`` over the words of the passes, for any
            recognizer (its loss is the mean loss of the passes).
    """

    snr: float = 15.0
    votes: int = 5
    vote: Literal["mean", "rover"] = "mean"

    def __post_init__(self) -> None:
        check_db("snr", self.snr)
        if self.votes < 1:
            raise ValueError(f"votes must be at least 1, got {self.votes}")

    def wrap(self, model: Recognizer) -> Recognizer:
        """The smoothed recognizer; ``vote=mean`` needs a CTC or a token recognizer."""
        combined = Voted if self.vote == "rover" else smoothed
        return combined(GaussianNoise(self.snr).wrap(model), self.votes)

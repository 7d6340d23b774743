"""Simple transformations of the waveform: baselines for other defenses.

Both come from Yang et al. 2019 (Characterizing audio adversarial examples using temporal
dependency). They found the same as Athalye et al. 2018 for images: an attacker who knows the
transformations breaks them. Down-up sampling is also in WaveGuard (Hussain et al. 2021), which
compares the transcripts before and after a transformation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd
from melmoat.defenses.streaming import Overlapping, Stage
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.resampling import resample


@dataclass(frozen=True)
class Downsample(FrontEnd):
    """Resamples to a lower rate and back: frequencies above half of it are lost."""

    rate: int

    def __post_init__(self) -> None:
        if self.rate < 1000:
            raise ValueError(f"rate must be at least 1000 Hz, got {self.rate}")

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        if self.rate >= audio.rate:
            raise MelmoatError(f"{self.rate} Hz is no lower rate than the audio's {audio.rate} Hz")
        back, length = resample(resample(audio, self.rate), audio.rate).wav, audio.wav.shape[1]
        return audio.with_wav(F.pad(back, (0, length))[:, :length])


@dataclass(frozen=True)
class Around(FrontEnd):
    """Replaces each sample by something of the ``width`` samples around it; ``width`` is odd.
    Outside of the recording there is silence."""

    width: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.width % 2 == 0:
            raise ValueError(f"width must be odd and positive, got {self.width}")

    def stream(self, rate: int, draws: Draws) -> Stage:
        return Overlapping(self, rate, self.width // 2)


@dataclass(frozen=True)
class Median(Around):
    """Replaces each sample by the median around it; outside of the recording there is silence."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        side = self.width // 2
        around = F.pad(audio.wav, (side, side)).unfold(1, self.width, 1)
        return audio.with_wav(around.median(dim=-1).values)


def downsample(rate: int = 8_000) -> FrontEnd:
    """Resampling to a lower rate and back.

    Args:
        rate: Hz.
    """
    return Downsample(rate)


def median(width: int = 3) -> FrontEnd:
    """A median filter over the waveform.

    Args:
        width: samples, odd.
    """
    return Median(width)

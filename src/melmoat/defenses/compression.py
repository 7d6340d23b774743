"""Amplitudes compressed by a power law."""

from __future__ import annotations

from dataclasses import dataclass

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd
from melmoat.draws import Draws

KNEE = 1e-3  # amplitude below which a power law is linear: -60 dB of full scale


@dataclass(frozen=True)
class Compress(FrontEnd):
    """Raises the amplitude of each sample to a power and keeps its sign. Full scale stays.

    ``x ((x^2 + k^2) / (1 + k^2))^((power - 1) / 2)``: linear below ``k``, 60 dB under full scale,
    because the slope of a plain power has no bound at 0. The mean (DC) of a recording bypasses it.

    Args:
        power: 1 changes nothing; less makes quiet samples louder.
    """

    power: float

    def __post_init__(self) -> None:
        if not 0 < self.power <= 1:
            raise ValueError(f"power must lie above 0 and at most at 1, got {self.power}")

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        sound = audio.centred
        size = (sound.square() + KNEE**2) / (1 + KNEE**2)
        return audio.with_wav(sound * size ** ((self.power - 1) / 2) + (audio.wav - sound))


def compress(power: float = 0.5) -> FrontEnd:
    """Compression of the amplitude by a power law.

    Args:
        power: above 0, at most 1; 1 changes nothing.
    """
    return Compress(power)

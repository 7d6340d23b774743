"""Amplitudes on another scale: compressed, or rounded more finely where they are small."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.defenses.streaming import Overlapping, Stage
from melmoat.draws import Draws

KNEE = 1e-3  # amplitude below which a power law is linear: -60 dB of full scale
MU = 255.0  # of ITU-T G.711


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


@dataclass(frozen=True)
class MuLaw(FrontEnd):
    """Rounds each sample on the mu-law scale. Its gradient is zero.

    Steps grow with the amplitude, as in telephony (ITU-T G.711, whose segments approximate this
    curve). Zero stays zero, and so does full scale. A constant offset (DC) counts as amplitude.

    Args:
        bits: bits of a sample, with its sign.
    """

    bits: int
    differentiable = False

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise ValueError(f"bits must lie between 2 and 16, got {self.bits}")

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        levels = 2 ** (self.bits - 1) - 1
        curve = torch.log1p(MU * audio.wav.abs()) / math.log1p(MU)
        rounded = torch.round(curve * levels) / levels
        return audio.with_wav(audio.wav.sign() * torch.expm1(rounded * math.log1p(MU)) / MU)

    def stream(self, rate: int, draws: Draws) -> Stage:
        return Overlapping(self, rate)


def compress(power: float = 0.5) -> FrontEnd:
    """Compression of the amplitude by a power law.

    Args:
        power: above 0, at most 1; 1 changes nothing.
    """
    return Compress(power)


def mulaw(bits: int = 6, gradient: Gradient = "exact") -> FrontEnd:
    """Samples rounded to fewer bits on the mu-law scale of telephony.

    The exact gradient is zero. Attack it with ``gradient=bpda``.

    Args:
        bits: of a sample, with its sign; telephony has 8.
        gradient: what attackers get in the backward pass.
    """
    return with_gradient(MuLaw(bits), gradient)

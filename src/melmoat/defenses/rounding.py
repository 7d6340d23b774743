"""Each sample rounded to the nearest of some levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.audio import PCM16
from melmoat.defenses.base import FrontEnd, Gradient, Rounding, with_gradient

MU = 255.0  # of ITU-T G.711


@dataclass(frozen=True)
class Quantize(Rounding):
    """Rounds each sample to the nearest multiple of a step."""

    step: int

    def __post_init__(self) -> None:
        if not 1 <= self.step <= PCM16:
            raise ValueError(f"step must lie between 1 and {PCM16}, got {self.step}")

    def scale(self, wav: Tensor) -> Tensor:
        return wav * PCM16 / self.step

    def level(self, places: Tensor) -> Tensor:
        return places * self.step / PCM16


@dataclass(frozen=True)
class MuLaw(Rounding):
    """Rounds each sample on the mu-law scale.

    Steps grow with the amplitude, as in telephony (ITU-T G.711, whose segments approximate this
    curve). Zero stays zero, and so does full scale. A constant offset (DC) counts as amplitude.

    Args:
        bits: bits of a sample, with its sign.
    """

    bits: int

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise ValueError(f"bits must lie between 2 and 16, got {self.bits}")

    @property
    def levels(self) -> int:
        """Levels above zero."""
        return (1 << self.bits - 1) - 1

    def scale(self, wav: Tensor) -> Tensor:
        return wav.sign() * (torch.log1p(MU * wav.abs()) / math.log1p(MU) * self.levels)

    def level(self, places: Tensor) -> Tensor:
        return places.sign() * torch.expm1(places.abs() / self.levels * math.log1p(MU)) / MU


def quantize(step: int = 256, gradient: Gradient = "exact") -> FrontEnd:
    """Samples rounded to fewer bits.

    The exact gradient is zero. Attack it with ``gradient=bpda``, and with ``lattice``.

    Args:
        step: in steps of 16-bit audio; 256 leaves 8 bits.
        gradient: what attackers get in the backward pass.
    """
    return with_gradient(Quantize(step), gradient)


def mulaw(bits: int = 6, gradient: Gradient = "exact") -> FrontEnd:
    """Samples rounded to fewer bits on the mu-law scale of telephony.

    The exact gradient is zero. Attack it with ``gradient=bpda``, and with ``lattice``.

    Args:
        bits: of a sample, with its sign; telephony has 8.
        gradient: what attackers get in the backward pass.
    """
    return with_gradient(MuLaw(bits), gradient)

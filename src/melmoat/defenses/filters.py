"""Linear filters of the waveform: the ends of the spectrum, and a moving average.

An attacker sees through both: what is left of the gradient is exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from julius.lowpass import LowPassFilters
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd
from melmoat.defenses.transforms import Around
from melmoat.draws import Draws
from melmoat.errors import MelmoatError

LOWEST = 20.0  # Hz; filters grow longer as their lowest edge falls
ZEROS = 24  # zero crossings of the longest sinc on each side


@dataclass(frozen=True)
class Filter(FrontEnd):
    """Keeps a band of frequencies: windowed sincs (julius), linear in phase, without a delay.

    Each edge has half of the amplitude. Its width is about a tenth of the lowest edge on each side.
    Outside of the recording there is silence. The mean (DC) is kept without ``low`` and removed
    with it.

    Args:
        low: frequencies below this are removed, Hz; None for none.
        high: frequencies above this are removed, Hz; None for none.
    """

    low: float | None
    high: float | None

    def __post_init__(self) -> None:
        if not self.edges:
            raise ValueError("a filter needs low=HZ (removes what is below), high=HZ, or both")
        if not all(LOWEST <= edge < float("inf") for edge in self.edges):
            raise ValueError(f"low and high must be at least {LOWEST:g} Hz, got {self.edges}")
        if len(self.edges) == 2 and self.edges[0] >= self.edges[1]:
            raise ValueError(f"low must be below high, got {self.low:g} and {self.high:g}")

    @property
    def edges(self) -> tuple[float, ...]:
        """Its edges in Hz, rising."""
        return tuple(edge for edge in (self.low, self.high) if edge is not None)

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        if self.edges[-1] >= audio.rate / 2:
            raise MelmoatError(
                f"{self.edges[-1]:g} Hz is no edge for {audio.rate} Hz audio: it has frequencies "
                f"below {audio.rate / 2:g} Hz only"
            )
        sound = audio.centred
        edges = tuple(edge / audio.rate for edge in self.edges)
        bank = _bank(edges, sound.dtype, sound.device)
        passed: list[Tensor] = list(bank(F.pad(sound, (bank.half_size, bank.half_size))))
        upper = sound if self.high is None else passed[-1]
        if self.low is None:
            return audio.with_wav(upper + (audio.wav - sound))
        return audio.with_wav(upper - passed[0])


@lru_cache(maxsize=8)
def _bank(edges: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> LowPassFilters:
    return LowPassFilters(edges, pad=False, zeros=ZEROS).to(device, dtype)


@dataclass(frozen=True)
class Smooth(Around):
    """Replaces each sample by the mean around it; outside of the recording there is silence."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        side = self.width // 2
        return audio.with_wav(F.avg_pool1d(audio.wav[:, None], self.width, 1, side)[:, 0])


def band(low: float | None = None, high: float | None = None) -> FrontEnd:
    """A low-pass, high-pass or band-pass filter.

    WaveGuard (Hussain et al. 2021) has shelves at 0.1 and 1.5 times the recording's spectral
    centroid instead of fixed edges.

    Args:
        low: frequencies below this are removed, Hz.
        high: frequencies above this are removed, Hz.
    """
    return Filter(low, high)


def smooth(width: int = 3) -> FrontEnd:
    """A moving average over the waveform.

    Args:
        width: samples, odd.
    """
    return Smooth(width)

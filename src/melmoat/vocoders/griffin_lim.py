"""Griffin-Lim: a waveform from a mel spectrogram without any weights.

The magnitudes come from the pseudo-inverse of the mel filters, their phases from the fast
Griffin-Lim algorithm (Perraudin, Balazs, Sondergaard 2013): go to the nearest waveform and back,
keep its phases, and push on in the direction of the last step.

It is deterministic. On 16 kHz LibriSpeech (a few utterances) its log-mel differs from the input by
0.107 nats on average after 32 iterations (0.119 after 16, 0.097 after 128) and by the same to 1 %
whether the first phases are random or those below, so nothing is gained by randomness. The memory
of a backward pass grows with the iterations, and so does the gradient: 12 times from 8 to 32.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.spectral import magnitude, mel_basis
from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.mel import LAB_MEL, MelSpec

FLOOR = 1e-5  # smallest magnitude, that of `spectral.magnitude` at silence


@dataclass(frozen=True)
class GriffinLimConfig:
    """How long and how hard to search."""

    iterations: int = 32
    momentum: float = 0.99  # Perraudin's alpha; 0 is Griffin and Lim's own algorithm

    def __post_init__(self) -> None:
        if self.iterations < 1 or not 0 <= self.momentum < 2:
            raise ValueError(
                "Griffin-Lim takes at least 1 iteration and a momentum from 0 to below 2; got "
                f"{self.iterations} and {self.momentum}"
            )


class GriffinLim(Vocoder):
    """Phase reconstruction for any mel spectrogram, differentiable, without weights."""

    def __init__(self, config: GriffinLimConfig | None = None, mel: MelSpec | None = None) -> None:
        mel = mel or LAB_MEL
        super().__init__(mel, mel.hop, None)
        self.config = config or GriffinLimConfig()

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        amplitude = self.amplitude(mel)
        phasor = _first_phasor(self.mel, amplitude)
        before = torch.zeros_like(phasor)
        for _ in range(self.config.iterations):
            found = self._analyse(self._overlap(amplitude * phasor))
            ahead = found + self.config.momentum * (found - before)
            phasor, before = ahead / magnitude(ahead), found
        wave = self._overlap(amplitude * phasor)
        # Undo MelSpec's framing: what lies before the first frame's own samples.
        n_fft, hop = self.mel.n_fft, self.hop
        first = n_fft // 2 if self.mel.centred else (n_fft - hop) // 2
        total = mel.shape[-1] * hop
        wave = F.pad(wave, (0, max(0, first + total - wave.shape[1])))
        return wave[:, first : first + total]

    def amplitude(self, mel: Tensor) -> Tensor:
        """Magnitudes of a log-mel spectrogram. Shape: ``[B, bands, F]`` -> ``[B, bins, F]``."""
        spec = self.mel
        if spec.mean is not None and spec.scale is not None:
            mel = mel * mel.new_tensor(spec.scale)[:, None] + mel.new_tensor(spec.mean)[:, None]
        linear = torch.pow(10.0, mel) if spec.log == "10" else mel.exp()
        inverse = _inverse(spec.rate, spec.n_fft, spec.bands, spec.fmin, spec.fmax)
        return (inverse.to(mel) @ linear).clamp(min=FLOOR)

    def _analyse(self, wave: Tensor) -> Tensor:
        """Spectra of all frames that lie wholly in ``wave``. Shape: of :meth:`_overlap`, back."""
        frames = wave.unfold(1, self.mel.n_fft, self.hop)
        spectrum: Tensor = torch.fft.rfft(frames * _window(self.mel).to(wave))
        return spectrum.mT

    def _overlap(self, spectrum: Tensor) -> Tensor:
        """The waveform whose spectra are nearest to ``spectrum`` (Griffin & Lim 1984, eq. 6).

        Shape: ``[B, bins, F]`` -> ``[B, (F - 1) * hop + n_fft]``.
        """
        window = _window(self.mel).to(spectrum.real)
        frames = torch.fft.irfft(spectrum.mT, n=self.mel.n_fft) * window
        weight = window.square().expand(1, *frames.shape[1:])
        size = (1, (frames.shape[1] - 1) * self.hop + self.mel.n_fft)
        parts = torch.cat([frames, weight]).mT
        sums = F.fold(parts, size, (1, self.mel.n_fft), stride=(1, self.hop))[:, 0, 0]
        # At the outer ends windows fade out: without the bound their noise would be blown up.
        return sums[:-1] / sums[-1].clamp(min=1e-3)


def _first_phasor(spec: MelSpec, amplitude: Tensor) -> Tensor:
    """Where the search starts: in each bin a steady tone of its centre frequency.

    Bin ``k`` starts after ``golden * k^2`` turns, which spreads the energy over time (in phase,
    the tones would be a click every ``n_fft`` samples). A frame's phases depend on its number only.
    """
    _, bins, frames = amplitude.shape
    k = torch.arange(bins, device=amplitude.device)[:, None]
    f = torch.arange(frames, device=amplitude.device)
    turns = (spec.hop * k * f % spec.n_fft) / spec.n_fft + (k.double().square() * 0.6180339887 % 1)
    phase = (2 * math.pi * turns).to(amplitude)
    return torch.polar(torch.ones_like(phase), phase).expand(len(amplitude), -1, -1)


@lru_cache(maxsize=8)
def _window(spec: MelSpec) -> Tensor:
    left = (spec.n_fft - spec.win) // 2
    window = torch.hann_window(spec.win, dtype=torch.float64)
    return F.pad(window, (left, spec.n_fft - spec.win - left))


@lru_cache(maxsize=8)
def _inverse(rate: int, n_fft: int, bands: int, fmin: float, fmax: float) -> Tensor:
    """Pseudo-inverse of the mel filters. Shape: ``[bins, bands]``, float64."""
    inverse: Tensor = torch.linalg.pinv(mel_basis(rate, n_fft, bands, fmin, fmax))
    return inverse

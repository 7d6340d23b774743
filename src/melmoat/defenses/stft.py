"""Flooding without a mel scale or a vocoder: noise on short-time Fourier coefficients."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.defenses.flooding import Flooding
from melmoat.draws import Draws
from melmoat.spectral import reflect_pad


class STFT(FrontEnd):
    """Transform, noise on the real and imaginary parts, and back.

    Without noise it is the identity: unlike a mel spectrogram, the transform loses nothing.

    Args:
        flooding: noise on the coefficients; None for none.
        n_fft: length of the periodic Hann window in samples.
        hop: samples between frames, at most half a window.
    """

    def __init__(self, flooding: Flooding | None, n_fft: int = 1024, hop: int = 256) -> None:
        if n_fft < 4 or not 0 < hop <= n_fft // 2:
            raise ValueError(f"n_fft {n_fft}, hop {hop}: 0 < hop <= n_fft / 2 is needed")
        self.flooding, self.n_fft, self.hop = flooding, n_fft, hop
        self.stochastic = flooding is not None and flooding.level > 0

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        # One window of silence after every utterance, so that each sample lies in as many frames
        # alone as in a batch. The mean bypasses the transform: it is no part of a frame's strength.
        sound = audio.centred
        wav = F.pad(reflect_pad(audio.with_wav(sound), self.n_fft // 2), (0, self.n_fft))
        window = torch.hann_window(self.n_fft, dtype=wav.dtype, device=wav.device)
        spectrum = torch.stft(
            wav, self.n_fft, self.hop, window=window, center=False, return_complex=True
        )
        if self.flooding is not None:
            parts = torch.cat([spectrum.real, spectrum.imag], dim=1)
            frames = 1 + (audio.lengths + self.n_fft) // self.hop
            spectrum = torch.complex(*self.flooding(parts, frames, draws).chunk(2, dim=1))
        back = torch.istft(spectrum, self.n_fft, self.hop, window=window, length=audio.wav.shape[1])
        return audio.with_wav(back + (audio.wav - sound))


def stft(n_fft: int = 1024, hop: int = 256) -> FrontEnd:
    """The STFT and its inverse: a control that changes nothing (the paper's STFT row)."""
    return STFT(None, n_fft, hop)


def stft_flood(
    level: float = 0.1, n_fft: int = 1024, hop: int = 256, gradient: Gradient = "exact"
) -> FrontEnd:
    """Noise on the STFT coefficients, relative to each frame's strength; no vocoder."""
    return with_gradient(STFT(Flooding(level), n_fft, hop), gradient)

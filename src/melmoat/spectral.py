"""Differentiable short-time spectra of ragged batches.

Every function uses the own length of each utterance: it is reflected at its own end, and its frames
are the same alone and in any batch.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.audio import Audio, AudioError


def reflect_pad(audio: Audio, pad: int) -> Tensor:
    """Reflect every utterance about its first and last sample, ``pad`` samples on each side.

    Sample ``L - 1 + j`` becomes sample ``L - 1 - j``. Beyond that the batch stays zero.

    Shape: ``[B, T]`` -> ``[B, T + 2 * pad]``.

    Raises:
        AudioError: an utterance has ``pad`` samples or fewer.
    """
    shortest = int(audio.lengths.min())
    if shortest <= pad:
        raise AudioError(
            f"an utterance of {shortest} samples is too short: at least {pad + 1} are needed at "
            f"{audio.rate} Hz ({1000 * (pad + 1) / audio.rate:.0f} ms)"
        )
    wav = audio.wav
    offsets = torch.arange(pad, device=wav.device)
    tail = wav.gather(1, audio.lengths[:, None] - 2 - offsets)
    padded = torch.cat([wav[:, 1 : pad + 1].flip(1), wav, wav.new_zeros(len(wav), pad)], dim=1)
    return padded.scatter(1, audio.lengths[:, None] + pad + offsets, tail)


def stft(
    audio: Audio, window: Tensor, hop: int, pad: Literal["zeros", "reflect"] = "reflect"
) -> tuple[Tensor, Tensor]:
    """Centred short-time Fourier transform.

    Args:
        audio: the batch.
        window: analysis window, as long as the transform. Shape: ``[n_fft]``.
        hop: samples between frames.
        pad: the padding at both ends of each utterance (librosa reflected until 0.9, and pads with
            zeros since 0.10).

    Returns:
        complex coefficients ``[B, n_fft // 2 + 1, F]`` and the number of frames of each utterance
        ``[B]``, ``1 + length // hop`` (of ``length - 1`` if the window is odd). Frames beyond that
        are not meaningful.
    """
    n_fft = len(window)
    half = n_fft // 2
    padded = reflect_pad(audio, half) if pad == "reflect" else F.pad(audio.wav, (half, half))
    spectrum = torch.stft(padded, n_fft, hop, window=window, center=False, return_complex=True)
    return spectrum, 1 + (audio.lengths - n_fft % 2) // hop


def frame_mask(frames: Tensor, total: int) -> Tensor:
    """True for frames inside each utterance. Shape: ``[B]`` -> ``[B, total]``, bool."""
    return torch.arange(total, device=frames.device) < frames[:, None]


def hz_to_mel(hz: float) -> float:
    """Slaney's mel scale (Auditory Toolbox): linear below 1 kHz, logarithmic above."""
    if hz < 1000.0:
        return hz * 3.0 / 200.0
    return 15.0 + 27.0 * math.log(hz / 1000.0) / math.log(6.4)


def mel_to_hz(mel: float) -> float:
    """Inverse of :func:`hz_to_mel`."""
    if mel < 15.0:
        return mel * 200.0 / 3.0
    return 1000.0 * math.exp((mel - 15.0) * math.log(6.4) / 27.0)


@lru_cache(maxsize=32)
def mel_basis(rate: int, n_fft: int, bands: int, fmin: float, fmax: float) -> Tensor:
    """Triangular mel filters of equal area (Slaney normalisation, as librosa's default).

    Shape: ``[bands, n_fft // 2 + 1]``, float64.
    """
    if not 0 <= fmin < fmax <= rate / 2:
        raise ValueError(f"mel band edges {fmin}..{fmax} Hz must lie within 0..{rate / 2} Hz")
    low, high = hz_to_mel(fmin), hz_to_mel(fmax)
    edges = torch.tensor(
        [mel_to_hz(low + (high - low) * i / (bands + 1)) for i in range(bands + 2)],
        dtype=torch.float64,
    )
    bins = torch.linspace(0, rate / 2, n_fft // 2 + 1, dtype=torch.float64)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return triangles * (2.0 / (edges[2:] - edges[:-2]))[:, None]


def magnitude(spectrum: Tensor, floor: float = 1e-10) -> Tensor:
    """``sqrt(|X|^2 + floor)``: the plain root has no gradient at silence."""
    return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + floor)

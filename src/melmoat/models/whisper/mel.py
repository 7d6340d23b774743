"""Whisper's log-mel spectrogram, differentiable and for ragged batches.

The numbers equal those of transformers' ``WhisperFeatureExtractor``, which pads every utterance to
30 s. Here each utterance is padded to its own window. The floor, 8 decades below the loudest bin,
is computed for each utterance, never for the batch.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.audio import RATE, Audio
from melmoat.models.pauses import LONGEST, check_length
from melmoat.spectral import mel_basis

N_FFT = 400
HOP = 160
STRIDE = 2 * HOP  # samples of one position of the encoder
BEYOND = 4  # frames that the convolutions look ahead, and more


def windows(lengths: Tensor, pad: float) -> Tensor:
    """Samples of each utterance's window, a whole number of positions. Shape: ``[B]``.

    Args:
        lengths: true number of samples. Shape: ``[B]``.
        pad: windows are rounded up to a multiple of this many seconds; 30 gives every utterance the
            full window.

    Raises:
        AudioError: an utterance is longer than 30 s.
    """
    check_length(lengths, "Whisper")
    unit = max(STRIDE, math.ceil(pad * RATE / STRIDE) * STRIDE)
    rounded = torch.div(lengths + unit - 1, unit, rounding_mode="floor").clamp(min=1) * unit
    return rounded.clamp(max=LONGEST)


def log_mel(audio: Audio, bands: int, pad: float) -> tuple[Tensor, Tensor]:
    """Log-mel spectrogram for Whisper's encoder.

    Hann window of 25 ms every 10 ms, power, Slaney mel bands up to 8 kHz, log10 with a floor of
    1e-10, at most 8 below the utterance's maximum, then ``(x + 4) / 4``.

    Args:
        audio: the batch, at 16 kHz.
        bands: mel bands, 80 or 128.
        pad: as in :func:`windows`.

    Returns:
        ``[B, bands, F]`` and the frames of each utterance's window ``[B]``. After its window an
        utterance continues with silence, for at least :data:`BEYOND` frames unless the window is
        the full one.

    Raises:
        AudioError: an utterance is longer than 30 s.
        ValueError: another rate.
    """
    if audio.rate != RATE:
        raise ValueError(f"Whisper takes {RATE} Hz audio, got {audio.rate}")
    frames = windows(audio.lengths, pad) // HOP
    total = min(int(frames.max()) + BEYOND, LONGEST // HOP)
    wav = F.pad(audio.wav, (0, max(0, total * HOP - audio.wav.shape[1])))[:, : total * HOP]
    half = N_FFT // 2
    # At the end of the full window, as at the start, the reference reflects.
    wav = F.pad(wav, (half, half if total * HOP == LONGEST else 0), "reflect")
    wav = F.pad(wav, (0, total * HOP + N_FFT - wav.shape[1]))
    window = torch.hann_window(N_FFT, dtype=wav.dtype, device=wav.device)
    spectrum = torch.stft(wav, N_FFT, HOP, window=window, center=False, return_complex=True)
    power = spectrum.real.square() + spectrum.imag.square()
    basis = mel_basis(RATE, N_FFT, bands, 0.0, RATE / 2).to(wav)
    logs = (basis @ power[..., :total]).clamp(min=1e-10).log10()
    loudest = logs.amax((1, 2), keepdim=True)  # never in the silence of a longer neighbour
    return (torch.maximum(logs, loudest - 8) + 4) / 4, frames

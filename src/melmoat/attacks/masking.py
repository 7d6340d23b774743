"""The psychoacoustic masking threshold: sounds below it are not audible beside louder ones.

The model is that of MPEG-1 (Lin & Abdulla 2015, "Audio watermark", chapter 3) as Qin et al. 2019
use it for adversarial examples. Levels are in dB of sound pressure, where the loudest bin of an
utterance is set to 96 dB. Every local maximum of a frame's spectrum counts as a tone; of tones
within half a Bark only the strongest counts. A tone of level ``P`` at ``z`` Bark masks sounds that
are ``dz`` Bark above it and weaker than

    P - 6.025 - 0.275 z + 27 dz                           for dz < 0
    P - 6.025 - 0.275 z + (0.37 max(P - 40, 0) - 27) dz   for dz >= 0

(a loud tone spreads upwards), and the powers of all tones' thresholds and of the threshold in quiet
add up.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from melmoat.audio import PCM16, Audio
from melmoat.spectral import frame_mask, stft

WINDOW, HOP = 2048, 512
LOUDEST = 96.0  # dB
FAINTEST = 1 / PCM16**2 / 6  # power of a tone as high as one step of a 16-bit file
CHUNK = 512  # maskers spread at once


def bark(hz: Tensor) -> Tensor:
    """Zwicker's critical-band rate in Bark.

    >>> round(float(bark(torch.tensor(1000.0))), 2)
    8.51
    """
    return 13 * torch.atan(0.00076 * hz) + 3.5 * torch.atan((hz / 7500).square())


def quiet_db(hz: Tensor) -> Tensor:
    """Threshold in quiet (Terhardt 1979) in dB; below 20 Hz that of 20 Hz.

    >>> round(float(quiet_db(torch.tensor(1000.0))), 2)
    3.37
    """
    khz = hz.clamp(min=20) / 1000
    dip = 6.5 * torch.exp(-0.6 * (khz - 3.3).square())
    return 3.64 * khz**-0.8 - dip + 1e-3 * khz**4


class Masking:
    """The masking threshold of a batch, and how far perturbations rise above it.

    Levels are powers here, 10^9.6 for the loudest bin. The threshold of an utterance does not
    depend on others. Digital silence and a mean (DC) mask nothing; only the threshold in quiet
    remains.

    Args:
        clean: the audio that masks.
    """

    def __init__(self, clean: Audio) -> None:
        double = clean.with_wav(clean.wav.detach().double())
        power, frames = _power(double.with_wav(double.centred))
        self._clean = clean
        self._mask = frame_mask(frames, power.shape[2])[:, None]
        loudest = (power * self._mask).amax((1, 2)).clamp(min=FAINTEST)
        self._scale = (10 ** (LOUDEST / 10) / loudest)[:, None, None].to(clean.wav.dtype)
        levels = LOUDEST + 10 * torch.log10((power / loudest[:, None, None]).clamp(min=1e-30))
        thresholds = torch.zeros_like(power)
        for i, count in enumerate(frames.tolist()):
            thresholds[i, :, :count] = _threshold(levels[i, :, :count].T, clean.rate).T
        self.threshold: Tensor = thresholds.to(clean.wav.dtype)

    def level(self, delta: Tensor) -> Tensor:
        """Power of perturbations in each bin and frame. Shape: ``[B, T]`` -> ``[B, 1025, F]``."""
        power, _ = _power(self._clean.with_wav(delta))
        return power * self._scale * self._mask

    def excess(self, delta: Tensor) -> Tensor:
        """Mean over bins and frames of the power above the threshold. Shape: ``[B, T]`` -> ``[B]``.

        The loss of Qin et al. 2019, eq. 9; differentiable.
        """
        above = (self.level(delta) - self.threshold).relu() * self._mask
        return above.sum((1, 2)) / (above.shape[1] * self._mask.sum((1, 2)))

    def audible(self, delta: Tensor) -> Tensor:
        """Share of each perturbation's energy that is above the threshold. Shape: ``[B]``.

        0 if it is masked completely or nothing was changed; near 1 if nothing masks it.
        """
        level = self.level(delta)
        above = ((level - self.threshold).relu() * self._mask).sum((1, 2))
        total = level.sum((1, 2))
        return torch.where(total > 0, above / total.clamp(min=1e-30), 0.0)


def _power(audio: Audio) -> tuple[Tensor, Tensor]:
    """Power of each bin, ``A^2 / 6`` for a tone of height ``A``, and each utterance's frames.

    Shape: ``[B, 1025, F]``, ``[B]``.
    """
    window = torch.hann_window(WINDOW, dtype=audio.wav.dtype, device=audio.wav.device)
    spectrum, frames = stft(audio, window, HOP, pad="zeros")
    power = spectrum.real.square() + spectrum.imag.square()
    return 8 / 3 * power / WINDOW**2, frames


@lru_cache(maxsize=4)
def _scales(rate: int) -> tuple[Tensor, Tensor]:
    """Bark, and threshold in quiet in dB, of each bin. Shape: ``[1025]``, float64."""
    hz = torch.linspace(0, rate / 2, WINDOW // 2 + 1, dtype=torch.float64)
    return bark(hz), quiet_db(hz)


def _threshold(levels: Tensor, rate: int) -> Tensor:
    """Power of the masking threshold, from levels in dB. Shape: ``[F, 1025]``."""
    places, quiet = (scale.to(levels.device) for scale in _scales(rate))
    total = (10 ** (quiet / 10)).expand_as(levels).clone()
    inner = levels[:, 1:-1]
    peaks = (inner > levels[:, :-2]) & (inner >= levels[:, 2:]) & (inner > quiet[1:-1])
    # A tone's main lobe lies in three bins.
    lobes = 10 * torch.log10((10 ** (levels / 10)).unfold(1, 3, 1).sum(2))
    frame, bins = peaks.nonzero().unbind(1)
    strongest = _strongest(frame.tolist(), places[1:-1][bins].tolist(), lobes[frame, bins].tolist())
    frame, bins = frame[strongest], bins[strongest]
    height, place = lobes[frame, bins][:, None], places[1:-1][bins][:, None]
    for start in range(0, len(strongest), CHUNK):
        some = slice(start, start + CHUNK)
        apart = places - place[some]
        rising = 27 * apart.clamp(max=0)
        falling = (0.37 * (height[some] - 40).clamp(min=0) - 27) * apart.clamp(min=0)
        spread = height[some] - 6.025 - 0.275 * place[some] + rising + falling
        total.index_add_(0, frame[some], 10 ** (spread / 10))
    return total


def _strongest(frames: list[int], places: list[float], heights: list[float]) -> list[int]:
    """Indices, in ascending order, of the tones without a stronger one within half a Bark."""
    strongest: list[int] = []
    for i, frame in enumerate(frames):
        last = strongest[-1] if strongest else None
        if last is None or frames[last] != frame or places[i] - places[last] >= 0.5:
            strongest.append(i)
        elif heights[i] > heights[last]:
            strongest[-1] = i
    return strongest

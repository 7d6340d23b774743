"""Differentiable change of sampling rate, exact in length, for ragged batches."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from julius.resample import ResampleFrac
from torch import Tensor

from melmoat.audio import Audio

ZEROS = 24  # zero crossings of the sinc on each side
ROLLOFF = 0.945  # cutoff, as a share of the lower Nyquist frequency


def resample(audio: Audio, rate: int) -> Audio:
    """The same speech at ``rate`` Hz: band-limited interpolation by a windowed sinc (julius).

    An utterance of ``L`` samples gets ``ceil(L * rate / audio.rate)``, the same alone and in any
    batch; beyond its end it counts as silence. There and back is never shorter than before.
    """
    if rate == audio.rate:
        return audio
    lengths = -(-audio.lengths * rate // audio.rate)
    reach = math.ceil(ZEROS * audio.rate / (ROLLOFF * min(rate, audio.rate)))
    padded = F.pad(audio.wav, (0, reach + 1))  # julius repeats the last sample of the tensor
    wav: Tensor = _resampler(audio.rate, rate, padded.dtype, padded.device)(padded)
    mask = torch.arange(int(lengths.max()), device=wav.device) < lengths[:, None]
    return Audio(wav[:, : mask.shape[1]] * mask, lengths, rate)


@lru_cache(maxsize=8)
def _resampler(old: int, new: int, dtype: torch.dtype, device: torch.device) -> ResampleFrac:
    return ResampleFrac(old, new, ZEROS, ROLLOFF).to(device, dtype)

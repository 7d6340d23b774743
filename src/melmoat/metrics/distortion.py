"""The size of perturbations."""

from __future__ import annotations

import torch
from torch import Tensor

from melmoat.audio import Audio


def snr_db(clean: Audio, other: Audio) -> Tensor:
    """``10 log10(sum (x - mean(x))^2 / sum (y - x)^2)`` over the true length, in dB: the signal
    without its mean, the change with it. Shape: ``[B]``.

    ``inf`` if nothing was changed, ``-inf`` if silence was changed.
    """
    signal = clean.with_wav(clean.wav.double()).centred.square().sum(1)
    noise = (other.wav.double() - clean.wav.double()).square().sum(1)
    ratio = 10 * torch.log10(signal / noise)
    return torch.where(noise == 0, torch.full_like(ratio, torch.inf), ratio)


def linf(clean: Audio, other: Audio) -> Tensor:
    """Largest change of a sample, of full scale 1. Shape: ``[B]``."""
    return (other.wav - clean.wav).abs().amax(1)


def l2(clean: Audio, other: Audio) -> Tensor:
    """Euclidean norm of the change. Shape: ``[B]``."""
    return (other.wav - clean.wav).square().sum(1).sqrt()

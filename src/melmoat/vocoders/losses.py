"""Losses of vocoder training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.audio import Audio
from melmoat.spectral import magnitude
from melmoat.vocoders.discriminators import Features, mean, scores
from melmoat.vocoders.mel import MelSpec

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))  # n_fft, hop, win


def stft_loss(
    made: Tensor, real: Tensor, resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS
) -> Tensor:
    """Multi-resolution STFT loss (Yamamoto et al. 2020, section 3.2).

    Spectral convergence, ``||Y - X|| / ||Y||`` (Frobenius, over the batch), plus the mean absolute
    difference of log magnitudes, averaged over resolutions. Shape: ``[B, T]`` twice -> scalar.
    """
    terms = []
    for n_fft, hop, win in resolutions:
        window = torch.hann_window(win, device=made.device, dtype=made.dtype)
        both = torch.stft(
            torch.cat([made, real]), n_fft, hop, win, window, center=True, return_complex=True
        )
        x, y = magnitude(both, floor=1e-7).chunk(2)
        convergence = torch.linalg.vector_norm(y - x) / torch.linalg.vector_norm(y)
        terms.append(convergence + F.l1_loss(torch.log(x), torch.log(y)))
    return mean(terms)


def mel_loss(spec: MelSpec, made: Tensor, real: Tensor) -> Tensor:
    """Mean absolute difference of natural-log mel spectrograms. Shape: ``[B, T]`` twice -> scalar.

    It is the same measure whatever the base of the vocoder's own logarithm.
    """
    lengths = torch.full((2 * len(made),), made.shape[1], device=made.device)
    mel, _ = spec(Audio(torch.cat([made, real]), lengths, spec.rate))
    x, y = mel.chunk(2)
    return F.l1_loss(x, y) * (1.0 if spec.log == "e" else 2.302585092994046)


def discriminator_loss(
    made: Features, real: Features, kind: Literal["hinge", "lsgan"] = "hinge"
) -> Tensor:
    """What the discriminator lowers; ``hinge`` is MelGAN's, ``lsgan`` Parallel WaveGAN's."""
    if kind == "hinge":
        terms = [F.relu(1 + s).mean() for s in scores(made)]
        return mean(terms) + mean([F.relu(1 - s).mean() for s in scores(real)])
    return mean([s.square().mean() for s in scores(made)]) + mean(
        [(s - 1).square().mean() for s in scores(real)]
    )


def generator_loss(made: Features, kind: Literal["hinge", "lsgan"] = "hinge") -> Tensor:
    """The generator's adversarial loss."""
    if kind == "hinge":
        return mean([-s.mean() for s in scores(made)])
    return mean([(s - 1).square().mean() for s in scores(made)])


def feature_matching(made: Features, real: Features) -> Tensor:
    """Mean absolute difference of the discriminator's hidden features, over layers and scales."""
    return mean(
        [
            F.l1_loss(x, y.detach())
            for a, b in zip(made, real, strict=True)
            for x, y in zip(a[:-1], b[:-1], strict=True)
        ]
    )

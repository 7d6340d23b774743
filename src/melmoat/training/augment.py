"""Perturbations of training speech: speed, gain, noise, masked spectrograms, joined utterances."""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from melmoat.audio import RATE

SLOWEST, FASTEST = 0.88, 1.12  # speeds
LOUDEST, FAINTEST = 10.0, 45.0  # SNRs of the noise in dB


def changes(rng: np.random.Generator) -> tuple[float, float]:
    """Draw a speed of 0.88 to 1.12, and a gain of +-8 dB as a factor."""
    return rng.uniform(SLOWEST, FASTEST), 10 ** (rng.uniform(-8, 8) / 20)


def changed(wave: Tensor, speed: float, gain: float) -> Tensor:
    """``wave`` at another speed, by resampling (pitch moves with it), and at another level.

    Shape: ``[L]`` -> ``[L']``."""
    samples = soxr.resample(wave.numpy(), RATE * speed, RATE, quality="HQ")
    samples *= gain
    return _tensor(samples)


def noisy(
    wave: Tensor,
    rng: np.random.Generator,
    noise: float = 0.5,
    loudest: float = LOUDEST,
    faintest: float = FAINTEST,
) -> Tensor:
    """``wave``, with probability ``noise`` with white Gaussian noise at an SNR of ``loudest`` to
    ``faintest`` dB.

    Shape: ``[L]`` -> ``[L]``."""
    if rng.random() >= noise:
        return wave
    samples = wave.numpy()
    level = np.std(samples) * 10 ** (-rng.uniform(loudest, faintest) / 20)
    return _tensor(samples + level * rng.standard_normal(len(samples), dtype=np.float32))


def _tensor(samples: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))


def spec_augment(
    features: Tensor, frames: Tensor, rng: np.random.Generator, bands: int = 24, gap: int = 20
) -> Tensor:
    """SpecAugment (Park et al. 2019) without warping: two masks in frequency of up to ``bands``
    bins, and one in time of up to ``gap`` frames per 150 frames, set to the mean (zero).

    Shape: ``[B, bins, F]``, frames ``[B]`` -> ``[B, bins, F]``.
    """
    features = features.clone()
    for item, total in zip(features, frames.tolist(), strict=True):
        for _ in range(2):
            width = int(rng.integers(0, bands + 1))
            low = int(rng.integers(0, item.shape[0] - width))
            item[low : low + width] = 0
        for _ in range(1 + total // 150):
            width = min(int(rng.integers(0, gap + 1)), total // 4)
            begin = int(rng.integers(0, total - width))
            item[:, begin : begin + width] = 0
    return features

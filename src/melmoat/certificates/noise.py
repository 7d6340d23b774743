"""White Gaussian noise of a fixed level, so that a certificate survives floating point.

Certificates are about real numbers. With floats, ``x + noise`` is rounded, and how it is rounded
depends on ``x``. This can make a false certificate (Voracek & Hein 2023; Jin et al. 2022). So here
all is a multiple of one step, ``2^-23`` of full scale:

- The audio is rounded to this grid first. A 16-bit file lies on it already. Two inputs at a
  distance ``r`` are then at most ``r + step * sqrt(T)`` apart (``T`` samples): :func:`lost` is what
  a radius is lowered by, so that it holds for all real perturbations and not only for files.
- The noise is drawn in double precision and rounded to the grid. For audio on the grid, ``x +
  round(noise) = round(x + noise)``: so rounding is a function of the noisy input, a part of the
  recognizer. The sum is of integers below 2^53, which is exact.
- The sum becomes float32, which holds multiples of the step up to 2; beyond, it is rounded, again
  as a function of the sum. It is never clipped here. What a recognizer does to it, such as clipping
  or setting a level, is a function of the noisy input, too.

What is left is the generator: Philox with keys from a hash, taken for random, and NumPy's normal
values in double precision (a ziggurat whose tail ends at 12 standard deviations; PyTorch's values
in float32 end near 6 on a CPU). No error of it is in the bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

STEP = 2.0**-23


def noisy(wave: Tensor, sigma: float, keys: Sequence[int]) -> Tensor:
    """``wave`` with noise, once for each key. A key is 128 bits and gives its noise alone.

    Args:
        wave: samples of one utterance, full scale 1. Shape: ``[T]``.
        sigma: standard deviation of the noise.

    Shape: ``[len(keys), T]``, float32.
    """
    steps = np.rint(wave.detach().cpu().double().numpy() / STEP)
    rows = []
    for key in keys:
        drawn = np.random.Generator(np.random.Philox(key=key)).standard_normal(len(steps))
        rows.append(((steps + np.rint(drawn * (sigma / STEP))) * STEP).astype(np.float32))
    return torch.from_numpy(np.stack(rows))


def lost(samples: int) -> float:
    """What rounding to the grid costs of a radius, for an utterance of so many samples."""
    return STEP * math.sqrt(samples)

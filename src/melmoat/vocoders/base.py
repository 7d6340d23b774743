"""What a vocoder is, and what reading published ones has in common."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Vocoder(nn.Module):
    """Turns a mel spectrogram into a waveform.

    Attributes:
        hop: samples a frame.
        noisy: whether :meth:`forward` takes a noise input, so that it is stochastic by itself.
    """

    hop: int
    noisy: bool = False

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Waveform of a mel spectrogram.

        Args:
            mel: ``[B, bands, F]``, in the scale this vocoder was trained on.
            noise: standard normal where the vocoder is ``noisy``. Shape: ``[B, 1, F * hop]``.

        Shape: ``[B, F * hop]``.
        """
        raise NotImplementedError


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair ``weight_g, weight_v`` by the weight it stands for, ``g * v / ||v||``.

    The norm is over all but the first axis, for transposed convolutions too (Salimans & Kingma 2016
    as PyTorch's default applies it, and by its own operator, so to the last bit). Frozen networks
    then run without recomputing it.
    """
    folded = {}
    for key, value in state.items():
        if key.endswith("weight_g"):
            folded[key[:-2]] = torch._weight_norm(state[key[:-1] + "v"], value, 0)
        elif not key.endswith("weight_v"):
            folded[key] = value
    return folded

"""Overlapping frames of a waveform, and their sum: what denoisers work on.

Outside of a recording there is silence. Every sample lies in as many frames alone as in a batch, so
a network that looks back only gives an utterance the same samples alone and in a batch.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def framed(wav: Tensor, size: int, hop: int) -> Tensor:
    """Frames of ``size`` samples, ``hop`` apart; frame ``k`` ends with sample ``(k + 1) hop - 1``.

    Args:
        wav: samples. Shape: ``[B, T]``.
        size: samples of a frame, a multiple of ``hop``.
        hop: samples between frames.

    Shape: ``[B, F, size]``, where ``F`` is ``ceil((T + size - hop) / hop)``.

    >>> import torch
    >>> framed(torch.tensor([[1, 2, 3]]), 4, 2)
    tensor([[[0, 0, 1, 2],
             [1, 2, 3, 0],
             [3, 0, 0, 0]]])
    """
    before = size - hop
    count = -(-(wav.shape[1] + before) // hop)
    after = (count - 1) * hop + size - before - wav.shape[1]
    return F.pad(wav, (before, after)).unfold(1, size, hop)


def summed(frames: Tensor, hop: int, length: int) -> Tensor:
    """The sum of overlapping frames, the samples that :func:`framed` was given in their places.

    Args:
        frames: of :func:`framed`, or made of them. Shape: ``[B, F, size]``.
        hop: samples between frames.
        length: samples of the result, ``T``.

    Shape: ``[B, T]``.

    >>> import torch
    >>> summed(framed(torch.tensor([[1.0, 2.0, 3.0]]), 4, 2), 2, 3)
    tensor([[2., 4., 6.]])
    """
    count, size = frames.shape[1:]
    whole = (1, (count - 1) * hop + size)
    added = F.fold(frames.mT, whole, (1, size), stride=(1, hop))[:, 0, 0]
    return added[:, size - hop :][:, :length]

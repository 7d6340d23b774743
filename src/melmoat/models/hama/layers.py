"""What both networks of hama have: every second frame of the spectrum, and self-attention."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.models.hama.logmel import BANDS


class Stem(nn.Module):
    """Every second frame, convolved with its neighbours.

    Shape: ``[B, F, BANDS]`` -> ``[B, (F + 1) // 2, width]``.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(BANDS, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.conv(x.transpose(1, 2))).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention over the frames of each utterance, without position encodings.

    Shape: ``[B, F, width]``, mask ``[B, F]`` -> ``[B, F, width]``.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.into = nn.Linear(width, 3 * width)  # queries, keys, values
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, frames, width = x.shape
        parts = self.into(x).view(batch, frames, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, mask[:, None, None])
        out: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, frames, width))
        return out

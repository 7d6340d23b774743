"""The Conformer (Gulati et al. 2020) of hama 1.7: 2.0 M parameters, without position encodings."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.models.hama.layers import Attention, Stem

WIDTH, INNER, HEADS, BLOCKS, KERNEL = 144, 576, 4, 4, 31


class FeedForward(nn.Module):
    """Half of what a feed-forward layer adds. Shape: ``[..., WIDTH]`` -> the same."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.into = nn.Linear(WIDTH, INNER)
        self.out = nn.Linear(INNER, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.out(F.silu(self.into(self.norm(x))))
        return 0.5 * added


class Convolution(nn.Module):
    """The convolution module; its batch norm is folded into the depthwise weights.

    Shape: ``[B, F, WIDTH]``, mask ``[B, F]`` -> ``[B, F, WIDTH]``.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.into = nn.Linear(WIDTH, 2 * WIDTH)
        self.depthwise = nn.Conv1d(WIDTH, WIDTH, KERNEL, padding=KERNEL // 2, groups=WIDTH)
        self.out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = F.glu(self.into(self.norm(x)), dim=-1) * mask[..., None]
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.out(F.silu(x))
        return out


class Block(nn.Module):
    """One block. Shape: ``[B, F, WIDTH]``, mask ``[B, F]`` -> ``[B, F, WIDTH]``."""

    def __init__(self) -> None:
        super().__init__()
        self.first = FeedForward()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention = Attention(WIDTH, HEADS)
        self.convolution = Convolution()
        self.second = FeedForward()
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.first(x)
        x = x + self.attention(self.attention_norm(x), mask)
        x = x + self.convolution(x, mask)
        x = x + self.second(x)
        out: Tensor = self.norm(x)
        return out


class Conformer(nn.Module):
    """Frames of a log-mel spectrum to logits of ``symbols`` symbols."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.stem = Stem(WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, symbols)

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        """Logits of every second frame.

        Args:
            mel: zero beyond each utterance. Shape: ``[B, F, BANDS]``.
            mask: which outputs are inside each utterance. Shape: ``[B, (F + 1) // 2]``, bool.

        Shape: ``[B, (F + 1) // 2, symbols]``.
        """
        x = self.stem(mel)
        for block in self.blocks:
            x = block(x, mask)
        out: Tensor = self.head(x)
        return out

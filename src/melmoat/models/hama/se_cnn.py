"""The convolutional network of hama 1.3: squeeze-and-excitation (Hu et al. 2018), 2.5 M weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.models.hama.layers import Attention, Stem

WIDTH, SQUEEZED, INNER, HEADS, KERNEL = 256, 32, 512, 4, 9
DILATIONS = (1, 1, 2, 2, 4, 1, 1, 2, 2, 4, 1)
LAYERS = 2  # of attention


class Block(nn.Module):
    """A separable convolution whose channels are weighted by their mean over the utterance.

    Shape: ``[B, F, WIDTH]``, mask ``[B, F]`` -> ``[B, F, WIDTH]``.
    """

    def __init__(self, dilation: int) -> None:
        super().__init__()
        reach = dilation * (KERNEL // 2)
        self.depthwise = nn.Conv1d(
            WIDTH, WIDTH, KERNEL, padding=reach, dilation=dilation, groups=WIDTH
        )
        self.pointwise = nn.Linear(WIDTH, WIDTH)  # with the batch norm folded in
        self.squeeze = nn.Linear(WIDTH, SQUEEZED)
        self.excite = nn.Linear(SQUEEZED, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        inside = mask[..., None]
        y = self.depthwise((x * inside).transpose(1, 2)).transpose(1, 2)
        y = F.silu(self.pointwise(y))
        mean = (y * inside).sum(1, keepdim=True) / inside.sum(1, keepdim=True)
        return x + y * torch.sigmoid(self.excite(F.silu(self.squeeze(mean))))


class Layer(nn.Module):
    """Attention and a feed-forward layer. Shape: as :class:`Block`."""

    def __init__(self) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(WIDTH)
        self.attention = Attention(WIDTH, HEADS)
        self.norm = nn.LayerNorm(WIDTH)
        self.into = nn.Linear(WIDTH, INNER)
        self.out = nn.Linear(INNER, WIDTH)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), mask)
        added: Tensor = self.out(F.gelu(self.into(self.norm(x))))
        return x + added


class SECNN(nn.Module):
    """Frames of a log-mel spectrum to logits; arguments and shapes as of
    :class:`melmoat.models.hama.conformer.Conformer`."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.stem = Stem(WIDTH)
        self.blocks = nn.ModuleList(Block(dilation) for dilation in DILATIONS)
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, symbols)

    def forward(self, mel: Tensor, mask: Tensor) -> Tensor:
        x = self.stem(mel)
        for part in (*self.blocks, *self.layers):
            x = part(x, mask)
        out: Tensor = self.head(x)
        return out

"""The generators' layers, in PyTorch's channels-last layout.

A signal of ``C`` channels is held as ``[B, C, 1, T]`` with the channels of each sample side by side
in memory. At the narrow, fast end of a generator, where most of its time goes, a gradient through
the same layers then takes half to two thirds of the time (``benchmarks/speed.py``). Weights keep
the shapes and names of the one-dimensional layers, as published.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def enter(x: Tensor) -> Tensor:
    """``[B, C, T]`` -> ``[B, C, 1, T]``, channels last in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class Conv(nn.Conv1d):
    """``nn.Conv1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1,):
            rows = F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
            return rows.permute(0, 3, 1, 2)
        return F.conv2d(
            x,
            self.weight.unsqueeze(2),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
            (1, self.dilation[0]),
        )


class Stretch(nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return F.conv_transpose2d(
            x,
            self.weight.unsqueeze(2),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
            (0, self.output_padding[0]),
        )


class Reflect(nn.ReflectionPad1d):
    """``nn.ReflectionPad1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (*self.padding, 0, 0), mode="reflect")

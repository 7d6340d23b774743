"""The generators' layers, in PyTorch's channels-last layout, with little kept for a gradient.

A signal of ``C`` channels is held as ``[B, C, 1, T]`` with the channels of each sample side by side
in memory. At the narrow, fast end of a generator, where most of its time goes, a gradient through
the same layers then takes half to two thirds of the time. Weights keep the shapes and names of the
one-dimensional layers, as published.

For a gradient PyTorch keeps the input of every convolution, which only the gradient of its weights
needs, and that of every reflection, for its shape. Here frozen convolutions and reflections keep
none, so a gradient through the generator takes half the memory, in the same time
(``benchmarks/speed.py`` has both).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def enter(x: Tensor) -> Tensor:
    """``[B, C, T]`` -> ``[B, C, 1, T]``, channels last in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


class _Frozen(torch.autograd.Function):
    """``torch.convolution`` whose weights and bias want no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.how = x.shape, how
        return torch.convolution(x, weight, bias, *how)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (weight,) = ctx.saved_tensors
        # Of the input nothing is read but its shape, so this memory is never touched.
        x = torch.empty(
            ctx.shape,
            dtype=weight.dtype,
            device=weight.device,
            memory_format=torch.channels_last,
        )
        backward = torch.ops.aten.convolution_backward
        gradients = backward(gradient, x, weight, None, *ctx.how, (True, False, False))
        return gradients[0], None, None, *(None for _ in ctx.how)


def _convolve(
    layer: nn.Conv1d | nn.ConvTranspose1d, x: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    trained = weight.requires_grad or (bias is not None and bias.requires_grad)
    run = torch.convolution if trained else _Frozen.apply
    y: Tensor = run(
        x,
        weight.unsqueeze(2),
        bias,
        (1, layer.stride[0]),
        (0, int(layer.padding[0])),
        (1, layer.dilation[0]),
        layer.transposed,
        (0, layer.output_padding[0]),
        1,  # group
    )
    return y


class _Reflect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, left: int, right: int) -> Tensor:
        ctx.sides = left, right
        return F.pad(x, (left, right, 0, 0), mode="reflect")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        left, right = ctx.sides
        end = gradient.shape[3] - right
        inner = gradient[..., left:end].clone()
        inner[..., 1 : left + 1] += gradient[..., :left].flip(3)
        inner[..., inner.shape[3] - 1 - right : -1] += gradient[..., end:].flip(3)
        return inner, None, None


class Conv(nn.Conv1d):
    """``nn.Conv1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor, out: slice = slice(None)) -> Tensor:
        """``out``: the output channels that are wanted."""
        weight, bias = self.weight[out], None if self.bias is None else self.bias[out]
        if self.kernel_size == (1,):  # which keeps no input of frozen weights
            rows = F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias)
            return rows.permute(0, 3, 1, 2)
        return _convolve(self, x, weight, bias)


class Stretch(nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        return _convolve(self, x, self.weight, self.bias)


class Reflect(nn.ReflectionPad1d):
    """``nn.ReflectionPad1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _Reflect.apply(x, *self.padding)  # type: ignore[no-untyped-call]
        return y

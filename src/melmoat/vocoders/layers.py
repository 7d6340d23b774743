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

Sizes = tuple[int, int]


def enter(x: Tensor) -> Tensor:
    """``[B, C, T]`` -> ``[B, C, 1, T]``, channels last in memory."""
    return x.unsqueeze(2).contiguous(memory_format=torch.channels_last)


def _to_input(ctx: Any, gradient: Tensor) -> Tensor:
    """The gradient of a convolution's input, from its weights and the input's shape."""
    (weight,) = ctx.saved_tensors
    # Of the input nothing is read, so its memory is never touched.
    shaped = torch.empty(
        ctx.shape,
        dtype=weight.dtype,
        device=weight.device,
        memory_format=torch.channels_last,
    )
    backward = torch.ops.aten.convolution_backward
    found = backward(gradient, shaped, weight, None, *ctx.how, 1, (True, False, False))
    back: Tensor = found[0]
    return back


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sizes,
        padding: Sizes,
        dilation: Sizes,
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.how = x.shape, (stride, padding, dilation, False, (0, 0))
        return F.conv2d(x, weight, bias, stride, padding, dilation)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _to_input(ctx, gradient), None, None, None, None, None


class _Stretch(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: Sizes,
        padding: Sizes,
        output_padding: Sizes,
    ) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.shape, ctx.how = x.shape, (stride, padding, (1, 1), True, output_padding)
        return F.conv_transpose2d(x, weight, bias, stride, padding, output_padding)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _to_input(ctx, gradient), None, None, None, None, None


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

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (1,):  # which keeps no input of frozen weights
            rows = F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias)
            return rows.permute(0, 3, 1, 2)
        run = F.conv2d if self.weight.requires_grad else _Convolve.apply
        y: Tensor = run(
            x,
            self.weight.unsqueeze(2),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
            (1, self.dilation[0]),
        )
        return y


class Stretch(nn.ConvTranspose1d):
    """``nn.ConvTranspose1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        run = F.conv_transpose2d if self.weight.requires_grad else _Stretch.apply
        y: Tensor = run(
            x,
            self.weight.unsqueeze(2),
            self.bias,
            (1, self.stride[0]),
            (0, int(self.padding[0])),
            (0, self.output_padding[0]),
        )
        return y


class Reflect(nn.ReflectionPad1d):
    """``nn.ReflectionPad1d`` on ``[B, C, 1, T]``."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _Reflect.apply(x, *self.padding)  # type: ignore[no-untyped-call]
        return y

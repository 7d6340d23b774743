"""The generators' layers, in PyTorch's channels-last layout, with little kept for a gradient.

A signal of ``C`` channels is held as ``[B, C, 1, T]`` with the channels of each sample side by side
in memory. At the narrow, fast end of a generator, where most of its time goes, a gradient through
the same layers then takes half to two thirds of the time. Weights keep the shapes and names of the
one-dimensional layers, as published.

For a gradient PyTorch keeps the input of every convolution, which only the gradient of its weights
needs, and that of every reflection, for its shape. Here frozen convolutions and reflections keep
none, so a gradient through the generator takes half the memory, in the same time
(``benchmarks/speed.py`` has both). Passing over memory is what most of the time goes to, so a
frozen residual block changes its own values in place (:func:`residual`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

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
        gradients = _convolution_gradient(gradient, ctx.shape, weight, ctx.how)
        return gradients, None, None, *(None for _ in ctx.how)


class _Residual(torch.autograd.Function):
    """:func:`residual`; of the values in between only ``hidden`` is kept, whose signs say where the
    second rectifier has which slope."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        dilated: Tensor,
        bias: Tensor,
        mixing: Tensor,
        shortcut: Tensor,
        both: Tensor,
        slope: float,
        dilation: int,
    ) -> Tensor:
        reach, length = (dilated.shape[3] - 1) // 2 * dilation, x.shape[3]
        padded = _empty((*x.shape[:3], length + 2 * reach), x)
        torch.ops.aten.leaky_relu.out(x, slope, out=padded[..., reach : reach + length])
        padded[..., :reach] = padded[..., reach + 1 : 2 * reach + 1].flip(3)
        padded[..., reach + length :] = padded[..., length - 1 : reach + length - 1].flip(3)
        how = (1, 1), (0, 0), (1, dilation), False, (0, 0), 1
        hidden = F.leaky_relu_(torch.convolution(padded, dilated, bias, *how), slope)
        y = torch.addmm(both, _rows(x), shortcut.t())
        y.addmm_(_rows(hidden), mixing.t())
        ctx.save_for_backward(x, hidden, dilated, mixing, shortcut)
        ctx.slope, ctx.reach, ctx.how = slope, reach, how
        return _signal(y, x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, hidden, dilated, mixing, shortcut = ctx.saved_tensors
        reach, length = ctx.reach, x.shape[3]
        rectified = torch.ops.aten.leaky_relu_backward.grad_input
        rows = _rows(gradient)
        inner = _signal(rows @ mixing, x)
        rectified(inner, hidden, ctx.slope, True, grad_input=inner)
        shape = (*x.shape[:3], length + 2 * reach)
        padded = _convolution_gradient(inner, shape, dilated, ctx.how)
        inner = padded[..., reach : reach + length]
        _fold(inner, padded[..., :reach], padded[..., reach + length :])
        rectified(inner, x, ctx.slope, False, grad_input=inner)
        return _signal(rows @ shortcut, x).add_(inner), *(None,) * 7


def residual(x: Tensor, dilated: Conv, mixing: Conv, shortcut: Conv, slope: float) -> Tensor:
    """A residual block of frozen weights, in fewer passes over memory than layer by layer.

    ``shortcut(x) + mixing(rectified(dilated(reflected(rectified(x)))))``, where ``rectified`` is a
    leaky ReLU, and the reflection lets ``dilated`` keep the length.

    Args:
        x: longer than the reflection. Shape: ``[B, C, 1, T]``.
        mixing, shortcut: convolutions over one sample.
    """
    y: Tensor = _Residual.apply(  # type: ignore[no-untyped-call]
        x,
        dilated.weight.unsqueeze(2),
        dilated.bias,
        mixing.weight.flatten(1),
        shortcut.weight.flatten(1),
        cast("Tensor", mixing.bias) + cast("Tensor", shortcut.bias),
        slope,
        dilated.dilation[0],
    )
    return y


def _fold(inner: Tensor, left: Tensor, right: Tensor) -> None:
    """Add the gradient of what was reflected to the left and right to that of the signal itself."""
    inner[..., 1 : left.shape[3] + 1] += left.flip(3)
    inner[..., inner.shape[3] - 1 - right.shape[3] : -1] += right.flip(3)


def _empty(shape: Sequence[int], like: Tensor) -> Tensor:
    """Memory for a signal of ``shape``, of the type and on the device of ``like``."""
    last = torch.channels_last
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=last)


def _rows(x: Tensor) -> Tensor:
    """``[B, C, 1, T]`` -> ``[B * T, C]``, without a copy if the channels are last in memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _signal(rows: Tensor, like: Tensor) -> Tensor:
    """``[B * T, C]`` -> ``[B, C, 1, T]`` of ``like``."""
    return rows.view(len(like), 1, like.shape[3], -1).permute(0, 3, 1, 2)


def _convolution_gradient(
    gradient: Tensor, shape: Sequence[int], weight: Tensor, how: tuple[Any, ...]
) -> Tensor:
    """The gradient of a convolution's input of ``shape``."""
    x = _empty(shape, weight)  # of which nothing is read but the shape: it is never touched
    backward = torch.ops.aten.convolution_backward
    found: Tensor = backward(gradient, x, weight, None, *how, (True, False, False))[0]
    return found


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
        _fold(inner, gradient[..., :left], gradient[..., end:])
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

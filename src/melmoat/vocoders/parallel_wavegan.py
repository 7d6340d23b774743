"""The Parallel WaveGAN generator (Yamamoto et al. 2020), every size an argument.

A WaveNet without recursion: noise goes in, dilated gated convolutions conditioned on the stretched
mel spectrogram make it speech. The noise makes it stochastic by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from melmoat.vocoders.base import Vocoder, fold_weight_norm
from melmoat.vocoders.layers import Conv, enter
from melmoat.vocoders.mel import MelSpec
from melmoat.weights import fill

# Its published recipes for 22 050 Hz; the statistics lie beside each checkpoint.
LJSPEECH = MelSpec(fmin=80, fmax=7600, floor=1e-10, centred=True)


@dataclass(frozen=True)
class ParallelWaveGANConfig:
    """Sizes; the defaults are the published LJSpeech generator."""

    layers: int = 30
    stacks: int = 3  # dilations 1, 2, 4, ... start again at each stack
    residual: int = 64
    gate: int = 128
    skip: int = 64
    kernel: int = 3
    scales: tuple[int, ...] = (4, 4, 4, 4)
    context: int = 2  # frames seen on each side before stretching
    fold: int = 1  # samples made at each step; the published generators make one

    def __post_init__(self) -> None:
        if self.stacks < 1 or self.layers % self.stacks:
            raise ValueError(f"{self.layers} layers do not divide into {self.stacks} stacks")
        if self.fold < 1:
            raise ValueError(f"fold must be at least 1 sample a step, got {self.fold}")


class Stretch(nn.Module):
    """Mel frames to steps: a convolution over frames, then nearest-neighbour repetition, each
    repetition smoothed by a filter over time that all bands share.

    The repetitions are the same for every band, so a layer's 1x1 convolution may come before them:
    it then runs on frames, of which there are ``prod(scales)`` times fewer, and :meth:`mixing` says
    what each step takes of the frames around it. The same sums as published, in another order.

    Shape: ``[B, bands, F]`` -> the frames after the first convolution, ``[B, bands, F]``.
    """

    def __init__(self, config: ParallelWaveGANConfig, bands: int) -> None:
        super().__init__()
        self.context, self.scales = config.context, config.scales
        self.sides = _frames_ahead(config.scales, math.prod(config.scales) - 1)
        width = 2 * config.context + 1
        self.conv_in = nn.Conv1d(bands, bands, width, bias=False)
        self.filters = nn.ModuleList(
            nn.Conv2d(1, 1, (1, 2 * s + 1), padding=(0, s), bias=False) for s in config.scales
        )

    def forward(self, mel: Tensor) -> Tensor:
        frames: Tensor = self.conv_in(F.pad(mel, (self.context, self.context), mode="replicate"))
        return frames

    def mixing(self, frames: int) -> Tensor:
        """What each step takes of the frames around its own, which is in the middle.

        Read off what becomes of single frames. Near the ends it differs, since every filter takes
        zeros for what is beyond.

        Shape: ``[frames, prod(scales), 2 * sides + 1]``.
        """
        sides, edge = self.sides, 2 * self.sides
        few = min(frames, 2 * edge + 1)
        weight = self.conv_in.weight
        x = torch.eye(few, dtype=weight.dtype, device=weight.device)[None]
        for scale, smooth in zip(self.scales, self.filters, strict=True):
            x = smooth(x.repeat_interleave(scale, dim=-1)[:, None])[:, 0]
        of_each = F.pad(x[0].view(few, few, -1), (0, 0, 0, 0, sides, sides))  # by input frame
        around = torch.stack([of_each[i : i + 2 * sides + 1, i] for i in range(few)]).mT
        at = torch.arange(frames, device=weight.device)
        at = torch.where(at < edge, at, (at - frames + few).clamp(min=min(edge, few - 1)))
        return around[at]


class _Gate(torch.autograd.Function):
    """``tanh(a) * sigmoid(b)``, with ``tanh`` from the sigmoid, which a CPU computes faster (to
    1e-7: of float32 or wider). It has no second derivative and says so. Shape: any two of one
    shape -> same."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        bent, share = (2 * a).sigmoid_().mul_(2).sub_(1), torch.sigmoid(b)
        ctx.save_for_backward(bent, share)
        return bent * share

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        bent, share = ctx.saved_tensors
        a = torch.ops.aten.tanh_backward(gradient * share, bent)
        b = torch.ops.aten.sigmoid_backward(gradient * bent, share)
        return a, b


class GatedBlock(nn.Module):
    """One dilated gated convolution, conditioned on the mel frames around each step.

    Shape: ``[B, residual, 1, T]``, frames ``[B, F, K, bands]`` with the ``K`` around each of them,
    mixing ``[B * F, T / F, K]`` -> the next ``[B, residual, 1, T]`` and a skip ``[B, skip, 1, T]``.
    """

    def __init__(self, config: ParallelWaveGANConfig, bands: int, dilation: int) -> None:
        super().__init__()
        c, reach = config, (config.kernel - 1) // 2 * dilation
        self.conv = Conv(c.residual, c.gate, c.kernel, padding=reach, dilation=dilation)
        self.aux = nn.Conv1d(bands, c.gate, 1, bias=False)
        self.out = Conv(c.gate // 2, c.residual, 1)
        self.skip = Conv(c.gate // 2, c.skip, 1)

    def forward(self, x: Tensor, frames: Tensor, mixing: Tensor) -> tuple[Tensor, Tensor]:
        half = self.conv.out_channels // 2  # each half for itself: so the gate reads whole memory
        a = self._half(x, frames, mixing, slice(half))
        b = self._half(x, frames, mixing, slice(half, None))
        gated: Tensor = _Gate.apply(a, b)  # type: ignore[no-untyped-call]
        gated = gated.view(len(x), 1, -1, half).permute(0, 3, 1, 2)
        return (self.out(gated) + x) * math.sqrt(0.5), self.skip(gated)

    def _half(self, x: Tensor, frames: Tensor, mixing: Tensor, channels: slice) -> Tensor:
        y = self.conv(x, channels).permute(0, 2, 3, 1)
        projected = F.linear(frames, self.aux.weight[channels, :, 0]).flatten(0, 1)
        return torch.baddbmm(y.reshape(len(mixing), -1, y.shape[-1]), mixing, projected)


class ParallelWaveGAN(Vocoder):
    """The generator.

    With ``fold`` above 1 the network runs on steps of that many samples: it hears their noise and
    makes them together, so the same layers cost that much less and see that much further.
    """

    noisy = True

    def __init__(
        self, config: ParallelWaveGANConfig | None = None, mel: MelSpec | None = None
    ) -> None:
        c, mel = config or ParallelWaveGANConfig(), mel or LJSPEECH
        super().__init__(mel, math.prod(c.scales) * c.fold, _reach(c))
        self.config = c
        cycle = c.layers // c.stacks
        self.stretch = Stretch(c, mel.bands)
        self.first = Conv(c.fold, c.residual, 1)
        self.blocks = nn.ModuleList(
            GatedBlock(c, mel.bands, 2 ** (i % cycle)) for i in range(c.layers)
        )
        self.last = nn.Sequential(
            nn.ReLU(), Conv(c.skip, c.skip, 1), nn.ReLU(), Conv(c.skip, c.fold, 1)
        )

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        if noise is None or noise.shape[-1] != mel.shape[-1] * self.hop:
            raise ValueError(
                f"Parallel WaveGAN takes noise of {mel.shape[-1] * self.hop} samples for "
                f"{mel.shape[-1]} frames, got {None if noise is None else noise.shape[-1]}"
            )
        sides = self.stretch.sides
        frames = F.pad(self.stretch(mel).mT, (0, 0, sides, sides))
        around = frames.unfold(1, 2 * sides + 1, 1).mT.contiguous()
        mixing = self.stretch.mixing(mel.shape[-1]).repeat(len(mel), 1, 1)
        x = self.first(enter(noise.reshape(len(noise), -1, self.config.fold).mT))
        total = torch.zeros((), device=mel.device, dtype=mel.dtype)
        for block in self.blocks:
            x, skip = block(x, around, mixing)
            total = total + skip
        wave: Tensor = self.last(total * math.sqrt(1.0 / len(self.blocks)))
        return wave[:, :, 0].mT.flatten(1)


def _reach(c: ParallelWaveGANConfig) -> int:
    """Frames ahead: from the last step of frame 0 back to the last input of every layer."""
    rounds: int = 2 ** (c.layers // c.stacks) - 1  # dilations of a stack, added up
    last = math.prod(c.scales) - 1 + c.stacks * rounds * ((c.kernel - 1) // 2)
    return _frames_ahead(c.scales, last) + c.context


def _frames_ahead(scales: Sequence[int], step: int) -> int:
    """The last frame that the stretches mix into a step."""
    for scale in reversed(scales):
        step = (step + scale) // scale
    return step


def from_published(
    state: Mapping[str, Tensor],
    stacks: int,
    scales: Sequence[int] | None = None,
    mel: MelSpec | None = None,
    name: str = "these weights",
) -> ParallelWaveGAN:
    """A frozen generator from the state of kan-bayashi/ParallelWaveGAN.

    Args:
        state: the generator's weights, with or without weight norm.
        stacks: how often the dilations start again; the weights do not show it.
        scales: stretches; read from the weights' filters (``2 s + 1`` wide) if not given.
        mel: what it was trained on; that of LJSpeech with the weights' bands and hop if not given.
        name: what errors call the weights.

    Raises:
        KeyError, ValueError, WeightsError: not a Parallel WaveGAN generator, or other settings
            than its own.
    """
    state = {_rename(key): value for key, value in fold_weight_norm(state).items()}
    conv = state["blocks.0.conv.weight"]
    context = state["stretch.conv_in.weight"]
    filters = [k for k in state if k.startswith("stretch.filters.")]
    widths = [(state[k].shape[-1] - 1) // 2 for k in sorted(filters, key=_index)]
    config = ParallelWaveGANConfig(
        layers=1 + max(_index(k) for k in state if k.startswith("blocks.")),
        stacks=stacks,
        residual=conv.shape[1],
        gate=conv.shape[0],
        skip=state["blocks.0.skip.weight"].shape[0],
        kernel=conv.shape[2],
        scales=tuple(scales or widths),
        context=(context.shape[2] - 1) // 2,
        fold=state["first.weight"].shape[1],
    )
    mel = mel or replace(
        LJSPEECH, bands=context.shape[1], hop=math.prod(config.scales) * config.fold
    )
    generator = ParallelWaveGAN(config, mel)
    fill(generator, state, name)
    return generator


def _index(key: str) -> int:
    return int(re.findall(r"\d+", key)[0])


def _rename(key: str) -> str:
    published = {
        "first_conv.": "first.",
        "last_conv_layers.": "last.",
        "conv_layers.": "blocks.",
        "upsample_net.conv_in.": "stretch.conv_in.",
    }
    if key.startswith("upsample_net.upsample.up_layers."):
        number, _, rest = key.removeprefix("upsample_net.upsample.up_layers.").partition(".")
        return f"stretch.filters.{int(number) // 2}.{rest}"
    for old, new in published.items():
        if key.startswith(old):
            key = new + key.removeprefix(old)
            break
    for part in ("aux", "out", "skip"):
        key = key.replace(f".conv1x1_{part}.", f".{part}.")
    return key

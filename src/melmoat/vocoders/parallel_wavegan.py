"""The Parallel WaveGAN generator (Yamamoto et al. 2020), every size an argument.

A WaveNet without recursion: noise goes in, dilated gated convolutions conditioned on the stretched
mel spectrogram make it speech. The noise makes it stochastic by itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.vocoders.base import Vocoder, fold_weight_norm
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
    """Mel frames to samples: a convolution over frames, then nearest-neighbour repetition, each
    step smoothed by a filter over time that all bands share.

    The filter is ``2 s + 1`` wide on a signal that repeats each value ``s`` times, so each of the
    ``s`` values made of one input mixes only that input and its two neighbours. With gradients it
    is computed so: forward and backward of a 10-layer generator take half the time or less (one
    CPU thread). Without, the filter runs as published, equal to the last bit.

    Shape: ``[B, bands, F]`` -> ``[B, bands, F * prod(scales)]``, a value for every step.
    """

    def __init__(self, config: ParallelWaveGANConfig, bands: int) -> None:
        super().__init__()
        self.context, self.scales = config.context, config.scales
        width = 2 * config.context + 1
        self.conv_in = nn.Conv1d(bands, bands, width, bias=False)
        self.filters = nn.ModuleList(
            nn.Conv2d(1, 1, (1, 2 * s + 1), padding=(0, s), bias=False) for s in config.scales
        )

    def forward(self, mel: Tensor) -> Tensor:
        x: Tensor = F.pad(mel, (self.context, self.context), mode="replicate")
        x = self.conv_in(x)
        for scale, smooth in zip(self.scales, self.filters, strict=True):
            assert isinstance(smooth, nn.Conv2d)
            if torch.is_grad_enabled() and (x.requires_grad or smooth.weight.requires_grad):
                neighbours = F.pad(x, (1, 1)).unfold(-1, 3, 1)
                x = (neighbours @ _mixture(smooth.weight.flatten(), scale)).flatten(-2)
            else:
                x = smooth(x.repeat_interleave(scale, dim=-1)[:, None])[:, 0]
        return x


def _mixture(taps: Tensor, scale: int) -> Tensor:
    """Weights of the previous, own and next input in each of the ``scale`` values made of one.

    Value ``p`` meets ``scale - p`` taps on copies of the previous input, then ``scale`` on its own.
    Shape: ``[2 * scale + 1]`` -> ``[3, scale]``.
    """
    sums = taps.cumsum(0)
    previous = sums[:scale].flip(0)
    with_own = sums[scale : 2 * scale].flip(0)
    return torch.stack([previous, with_own - previous, sums[-1] - with_own])


class GatedBlock(nn.Module):
    """One dilated gated convolution, conditioned on the stretched mel.

    Shape: ``[B, residual, T]``, mel ``[B, bands, T]`` -> the next ``[B, residual, T]`` and a skip
    ``[B, skip, T]``.
    """

    def __init__(self, config: ParallelWaveGANConfig, bands: int, dilation: int) -> None:
        super().__init__()
        c, reach = config, (config.kernel - 1) // 2 * dilation
        self.conv = nn.Conv1d(c.residual, c.gate, c.kernel, padding=reach, dilation=dilation)
        self.aux = nn.Conv1d(bands, c.gate, 1, bias=False)
        self.out = nn.Conv1d(c.gate // 2, c.residual, 1)
        self.skip = nn.Conv1d(c.gate // 2, c.skip, 1)

    def forward(self, x: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        a, b = (self.conv(x) + self.aux(mel)).chunk(2, dim=1)
        gated = torch.tanh(a) * torch.sigmoid(b)
        return (self.out(gated) + x) * math.sqrt(0.5), self.skip(gated)


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
        self.first = nn.Conv1d(c.fold, c.residual, 1)
        self.blocks = nn.ModuleList(
            GatedBlock(c, mel.bands, 2 ** (i % cycle)) for i in range(c.layers)
        )
        self.last = nn.Sequential(
            nn.ReLU(), nn.Conv1d(c.skip, c.skip, 1), nn.ReLU(), nn.Conv1d(c.skip, c.fold, 1)
        )

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        if noise is None or noise.shape[-1] != mel.shape[-1] * self.hop:
            raise ValueError(
                f"Parallel WaveGAN takes noise of {mel.shape[-1] * self.hop} samples for "
                f"{mel.shape[-1]} frames, got {None if noise is None else noise.shape[-1]}"
            )
        condition = self.stretch(mel)
        x = self.first(noise.reshape(len(noise), -1, self.config.fold).mT)
        total = torch.zeros((), device=mel.device, dtype=mel.dtype)
        for block in self.blocks:
            x, skip = block(x, condition)
            total = total + skip
        wave: Tensor = self.last(total * math.sqrt(1.0 / len(self.blocks)))
        return wave.mT.flatten(1)


def _reach(c: ParallelWaveGANConfig) -> int:
    """Frames ahead: from the last step of frame 0 back to the last input of every layer."""
    rounds: int = 2 ** (c.layers // c.stacks) - 1  # dilations of a stack, added up
    last = math.prod(c.scales) - 1 + c.stacks * rounds * ((c.kernel - 1) // 2)
    for scale in reversed(c.scales):
        last = (last + scale) // scale
    return last + c.context


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
    found = [(state[k].shape[-1] - 1) // 2 for k in sorted(filters, key=_index)]
    config = ParallelWaveGANConfig(
        layers=1 + max(_index(k) for k in state if k.startswith("blocks.")),
        stacks=stacks,
        residual=conv.shape[1],
        gate=conv.shape[0],
        skip=state["blocks.0.skip.weight"].shape[0],
        kernel=conv.shape[2],
        scales=tuple(scales or found),
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

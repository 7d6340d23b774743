"""The HiFi-GAN generator (Kong et al. 2020), every size an argument.

Deterministic, like MelGAN, but after each transposed convolution several residual blocks of
different kernels run side by side and are averaged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.vocoders.base import Vocoder, fold_weight_norm
from melmoat.vocoders.layers import Conv, Stretch, enter
from melmoat.vocoders.mel import MelSpec
from melmoat.weights import fill

# What the published networks hear. They were trained on sqrt(power + 1e-9), ours adds 1e-10: that
# is below this floor in both, and under 1 % of a mel magnitude just above it.
PUBLISHED = MelSpec(fmax=8000, log="e")
DILATIONS = {1: ((1, 3, 5),) * 3, 2: ((1, 2), (2, 6), (3, 12))}  # published, by type of block


@dataclass(frozen=True)
class HiFiGANConfig:
    """Sizes; the defaults are V1, published as the universal generator of 13.9 M parameters."""

    channels: int = 512  # after the first convolution, halved at each stretch
    rates: tuple[int, ...] = (8, 8, 2, 2)
    kernels: tuple[int, ...] = (16, 16, 4, 4)  # of the stretches
    block_kernels: tuple[int, ...] = (3, 7, 11)  # of the residual blocks side by side
    dilations: tuple[tuple[int, ...], ...] = DILATIONS[1]  # of each of those blocks
    block: Literal[1, 2] = 1  # 1: a plain convolution after each dilated one; 2: none

    def __post_init__(self) -> None:
        # Lists, as JSON has them, become what compares and hashes.
        object.__setattr__(self, "dilations", tuple(tuple(d) for d in self.dilations))
        if self.block not in (1, 2):
            raise ValueError(f"HiFi-GAN has blocks of type 1 and 2, not {self.block!r}")
        if len(self.kernels) != len(self.rates) or len(self.dilations) != len(self.block_kernels):
            raise ValueError(
                f"HiFi-GAN: a kernel for each rate and dilations for each block are needed; got "
                f"{len(self.kernels)} for {len(self.rates)}, "
                f"{len(self.dilations)} for {len(self.block_kernels)}"
            )
        if any(k < r for k, r in zip(self.kernels, self.rates, strict=True)):
            raise ValueError(f"HiFi-GAN: kernels {self.kernels} leave gaps at rates {self.rates}")
        if any(k % 2 == 0 for k in self.block_kernels):
            raise ValueError(f"HiFi-GAN: block kernels must be odd; got {self.block_kernels}")


class ResidualBlock(nn.Module):
    """Dilated convolutions in a chain, each around a shortcut. Shape: ``[B, C, 1, T]`` -> same.

    Submodules have the published names, ``convs`` or ``convs1`` and ``convs2``.
    """

    def __init__(self, config: HiFiGANConfig, channels: int, index: int) -> None:
        super().__init__()
        kernel, dilations = config.block_kernels[index], config.dilations[index]

        def chain(dilations: Sequence[int]) -> nn.ModuleList:
            return nn.ModuleList(
                Conv(channels, channels, kernel, dilation=d, padding=(kernel - 1) // 2 * d)
                for d in dilations
            )

        if config.block == 1:
            self.convs1, self.convs2 = chain(dilations), chain([1] * len(dilations))
        else:
            self.convs = chain(dilations)
        self.paired = config.block == 1

    def forward(self, x: Tensor) -> Tensor:
        if not self.paired:
            for conv in self.convs:
                x = x + conv(F.leaky_relu(x, 0.1))
            return x
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, 0.1)), 0.1))
        return x


class HiFiGAN(Vocoder):
    """The generator. Its submodules have the published names, so published weights fit as is."""

    def __init__(self, config: HiFiGANConfig | None = None, mel: MelSpec | None = None) -> None:
        c, mel = config or HiFiGANConfig(), mel or PUBLISHED
        super().__init__(mel, prod(c.rates), _reach(c))
        self.config = c
        widths = [c.channels // 2**i for i in range(len(c.rates) + 1)]
        self.conv_pre = Conv(mel.bands, c.channels, 7, padding=3)
        self.ups = nn.ModuleList(
            _stretch(*pair, kernel, rate)
            for pair, kernel, rate in zip(pairwise(widths), c.kernels, c.rates, strict=True)
        )
        self.resblocks = nn.ModuleList(
            ResidualBlock(c, width, i) for width in widths[1:] for i in range(len(c.block_kernels))
        )
        self.conv_post = Conv(widths[-1], 1, 7, padding=3)

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        x = self.conv_pre(enter(mel))
        side_by_side = len(self.config.block_kernels)
        for i, stretch in enumerate(self.ups):
            x = stretch(F.leaky_relu(x, 0.1))
            blocks = self.resblocks[i * side_by_side : (i + 1) * side_by_side]
            x = sum(block(x) for block in blocks) / side_by_side
        x = F.leaky_relu(x, 0.01)  # the published code leaves this one at PyTorch's default
        return torch.tanh(self.conv_post(x))[:, 0, 0]


def _stretch(inside: int, outside: int, kernel: int, rate: int) -> Stretch:
    """A transposed convolution that makes exactly ``rate`` samples of each."""
    excess = kernel - rate
    return Stretch(
        inside, outside, kernel, rate, padding=(excess + 1) // 2, output_padding=excess % 2
    )


def _reach(c: HiFiGANConfig) -> int:
    """Frames ahead: from the last sample of frame 0 back to the last input of every layer."""
    last = prod(c.rates) - 1 + 3
    for rate, kernel in zip(reversed(c.rates), reversed(c.kernels), strict=True):
        plain = [len(d) if c.block == 1 else 0 for d in c.dilations]
        last += max(
            (k - 1) // 2 * (sum(d) + p)
            for k, d, p in zip(c.block_kernels, c.dilations, plain, strict=True)
        )
        last = (last + (kernel - rate + 1) // 2) // rate
    return last + 3


def from_published(
    state: Mapping[str, Tensor],
    mel: MelSpec | None = None,
    rates: Sequence[int] | None = None,
    dilations: Sequence[Sequence[int]] | None = None,
    name: str = "these weights",
) -> HiFiGAN:
    """A frozen generator from a state in the official layout, with or without weight norm.

    Args:
        state: the generator's weights; channels, kernels and the type of block are read from them.
        mel: what it was trained on; the published one with the weights' bands and hop if not given.
        rates, dilations: of its ``config.json``, since the weights do not show them; the
            published ones if not given (rates of half a kernel).
        name: what errors call the weights.

    Raises:
        KeyError, ValueError, WeightsError: not such a generator, or other settings than its own.
    """
    state = fold_weight_norm(state)
    shown = sizes(state)
    kernels, kind = shown["upsample_kernel_sizes"], shown["resblock"]
    config = HiFiGANConfig(
        channels=shown["upsample_initial_channel"],
        rates=tuple(rates or (k // 2 for k in kernels)),
        kernels=tuple(kernels),
        block_kernels=tuple(shown["resblock_kernel_sizes"]),
        dilations=tuple(tuple(d) for d in dilations or DILATIONS[kind]),
        block=kind,
    )
    mel = mel or replace(PUBLISHED, bands=shown["num_mels"], hop=prod(config.rates))
    generator = HiFiGAN(config, mel)
    fill(generator, state, name)
    return generator


def sizes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What weights without weight norm show of the sizes, by ``config.json``'s names for them.

    Raises:
        KeyError: not such a generator.
    """
    first = state["conv_pre.weight"]
    kernels = [state[f"ups.{i}.weight"].shape[2] for i in range(_count(state, "ups"))]
    if not kernels:
        raise KeyError("ups.0.weight")
    kind: Literal[1, 2] = 1 if "resblocks.0.convs1.0.weight" in state else 2
    convs = "convs1" if kind == 1 else "convs"
    return {
        "num_mels": first.shape[1],
        "upsample_initial_channel": first.shape[0],
        "upsample_kernel_sizes": kernels,
        "resblock": kind,
        "resblock_kernel_sizes": [
            state[f"resblocks.{i}.{convs}.0.weight"].shape[2]
            for i in range(_count(state, "resblocks") // len(kernels))
        ],
    }


def _count(state: Mapping[str, Tensor], group: str) -> int:
    return len({key.split(".")[1] for key in state if key.startswith(f"{group}.")})

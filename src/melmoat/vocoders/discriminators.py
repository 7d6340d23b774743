"""What the vocoders are trained against; every size an argument.

Each returns, for every scale, the features of all its layers; the last one is the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Features = list[list[Tensor]]


@dataclass(frozen=True)
class MelGANDiscriminatorConfig:
    """Sizes; the defaults are the published discriminator of 16,924,086 parameters (with its
    weight norm's gains)."""

    scales: int = 3
    channels: int = 16
    most: int = 1024  # channels at most
    strides: tuple[int, ...] = (4, 4, 4, 4)


class MelGANDiscriminator(nn.Module):
    """One network of grouped strided convolutions on the waveform, one on it at half the rate, and
    so on (Kumar et al. 2019). Shape: ``[B, T]`` -> ``scales`` lists of ``[B, C, T']``."""

    def __init__(self, config: MelGANDiscriminatorConfig | None = None) -> None:
        super().__init__()
        config = config or MelGANDiscriminatorConfig()
        self.pool = nn.AvgPool1d(4, stride=2, padding=1, count_include_pad=False)
        self.scales = nn.ModuleList(_scale(config) for _ in range(config.scales))

    def forward(self, wave: Tensor) -> Features:
        x = wave[:, None]
        features = []
        for scale in self.scales:
            assert isinstance(scale, nn.ModuleList)
            features.append(_through(scale, x))
            x = self.pool(x)
        return features


def _scale(config: MelGANDiscriminatorConfig) -> nn.ModuleList:
    slope = 0.2
    width = config.channels
    first = nn.Sequential(nn.ReflectionPad1d(7), nn.Conv1d(1, width, 15), nn.LeakyReLU(slope))
    layers: list[nn.Module] = [first]
    for stride in config.strides:
        out = min(width * stride, config.most)
        conv = nn.Conv1d(
            width, out, 10 * stride + 1, stride, padding=5 * stride, groups=max(1, width // 4)
        )
        layers.append(nn.Sequential(conv, nn.LeakyReLU(slope)))
        width = out
    out = min(2 * width, config.most)
    layers.append(nn.Sequential(nn.Conv1d(width, out, 5, padding=2), nn.LeakyReLU(slope)))
    layers.append(nn.Conv1d(out, 1, 3, padding=1))
    return nn.ModuleList(layers)


@dataclass(frozen=True)
class ParallelWaveGANDiscriminatorConfig:
    """Sizes; the defaults are the published discriminator of 99,842 parameters (with its weight
    norm's gains)."""

    layers: int = 10
    channels: int = 64
    kernel: int = 3


class ParallelWaveGANDiscriminator(nn.Module):
    """Dilated convolutions that never lower the rate (Yamamoto et al. 2020).

    Shape: ``[B, T]`` -> one list of ``[B, C, T]``.
    """

    def __init__(self, config: ParallelWaveGANDiscriminatorConfig | None = None) -> None:
        super().__init__()
        c = config or ParallelWaveGANDiscriminatorConfig()
        layers: list[nn.Module] = []
        width = 1
        for i in range(c.layers - 1):
            reach = max(1, i)
            conv = nn.Conv1d(
                width, c.channels, c.kernel, padding=(c.kernel - 1) // 2 * reach, dilation=reach
            )
            layers.append(nn.Sequential(conv, nn.LeakyReLU(0.2)))
            width = c.channels
        layers.append(nn.Conv1d(width, 1, c.kernel, padding=(c.kernel - 1) // 2))
        self.layers = nn.ModuleList(layers)

    def forward(self, wave: Tensor) -> Features:
        return [_through(self.layers, wave[:, None])]


def _through(layers: nn.ModuleList, x: Tensor) -> list[Tensor]:
    features = []
    for layer in layers:
        x = layer(x)
        features.append(x)
    return features


def scores(features: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The last layer of every scale."""
    return [scale[-1] for scale in features]


def mean(terms: Sequence[Tensor]) -> Tensor:
    """Mean of scalar losses."""
    return torch.stack(list(terms)).mean()

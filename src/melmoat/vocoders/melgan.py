"""The MelGAN generator (Kumar et al. 2019), every size an argument.

It is deterministic: reflection, transposed convolutions that stretch each frame to ``hop`` samples,
and dilated residual blocks in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import cast

from torch import Tensor, nn

from melmoat.vocoders.base import Vocoder, fold_weight_norm
from melmoat.vocoders.layers import Conv, Reflect, Stretch, enter, residual
from melmoat.vocoders.mel import MelSpec
from melmoat.weights import fill

SLOPE = 0.2  # of the rectifiers below zero


@dataclass(frozen=True)
class MelGANConfig:
    """Sizes; the defaults are the published generator of 4,266,050 parameters (with its weight
    norm's gains; 4,260,257 weights without them)."""

    channels: int = 512  # after the first convolution, halved at each stretch
    ratios: tuple[int, ...] = (8, 8, 2, 2)
    blocks: int = 3  # residual blocks a stretch, of dilation 1, 3, 9, ...


class ResidualBlock(nn.Module):
    """A dilated and a 1x1 convolution beside a 1x1 shortcut. Shape: ``[B, C, 1, T]`` -> same."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LeakyReLU(SLOPE),
            Reflect(dilation),
            Conv(channels, channels, 3, dilation=dilation),
            nn.LeakyReLU(SLOPE),
            Conv(channels, channels, 1),
        )
        self.shortcut = Conv(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        dilated, mixing = cast("Conv", self.block[2]), cast("Conv", self.block[4])
        trained = any(weight.requires_grad for weight in self.parameters())
        if trained or x.shape[3] <= dilated.dilation[0]:  # too short, which the layers say
            return self.layer_by_layer(x)
        return residual(x, dilated, mixing, self.shortcut, SLOPE)

    def layer_by_layer(self, x: Tensor) -> Tensor:
        """The same, as PyTorch's layers compute it."""
        mixed: Tensor = self.block(x)
        return self.shortcut.forward(x) + mixed


class MelGAN(Vocoder):
    """The generator."""

    def __init__(self, config: MelGANConfig | None = None, mel: MelSpec | None = None) -> None:
        config, mel = config or MelGANConfig(), mel or MelSpec()
        super().__init__(mel, prod(config.ratios), _reach(config))
        self.config = config
        width = config.channels
        layers: list[nn.Module] = [Reflect(3), Conv(mel.bands, width, 7)]
        for r in config.ratios:
            stretch = Stretch(
                width, width // 2, 2 * r, stride=r, padding=r // 2 + r % 2, output_padding=r % 2
            )
            width //= 2
            layers += [nn.LeakyReLU(SLOPE), stretch]
            layers += [ResidualBlock(width, 3**i) for i in range(config.blocks)]
        layers += [nn.LeakyReLU(SLOPE), Reflect(3), Conv(width, 1, 7), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        wave: Tensor = self.layers(enter(mel))
        return wave[:, 0, 0]


def _reach(config: MelGANConfig) -> int:
    """Frames ahead: from the last sample of frame 0 back to the last input of every layer."""
    last = prod(config.ratios) - 1 + 3
    for r in reversed(config.ratios):
        last += sum(3**i for i in range(config.blocks))
        last = (last + r // 2 + r % 2) // r
    return last + 3


def from_published(
    state: Mapping[str, Tensor], mel: MelSpec | None = None, name: str = "these weights"
) -> MelGAN:
    """A frozen MelGAN from the generator's state of descriptinc/melgan-neurips or of
    kan-bayashi/ParallelWaveGAN; every size is read from the weights.

    Args:
        state: the generator's weights, with or without weight norm.
        mel: what it was trained on; descriptinc's with the weights' bands and hop if not given.
        name: what errors call the weights.

    Raises:
        KeyError, ValueError, WeightsError: not a MelGAN generator.
    """
    state = {_rename(key): value for key, value in fold_weight_norm(state).items()}
    first = state["layers.1.weight"]
    stretches = [
        value.shape[2] // 2
        for key, value in sorted(state.items(), key=lambda item: _index(item[0]))
        if _index(key) > 1  # the first convolution may be shaped like a stretch
        and key.count(".") == 2
        and key.endswith("weight")
        and value.shape[0] == 2 * value.shape[1]
    ]
    blocks = sum(key.endswith("shortcut.weight") for key in state) // max(1, len(stretches))
    config = MelGANConfig(first.shape[0], tuple(stretches), blocks)
    mel = mel or replace(MelSpec(), bands=first.shape[1], hop=prod(config.ratios))
    generator = MelGAN(config, mel)
    fill(generator, state, name)
    return generator


def _rename(key: str) -> str:
    prefix, _, rest = key.partition(".")
    if prefix not in ("model", "melgan", "layers"):
        raise ValueError(f"{key} is no weight of a MelGAN")
    key = f"layers.{rest}"
    return key.replace(".stack.", ".block.").replace(".skip_layer.", ".shortcut.")


def _index(key: str) -> int:
    return int(key.split(".")[1])

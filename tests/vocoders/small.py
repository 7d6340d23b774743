"""Small vocoders of every architecture, random but always the same."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from melmoat.vocoders import (
    GriffinLim,
    GriffinLimConfig,
    HiFiGAN,
    HiFiGANConfig,
    MelGAN,
    MelGANConfig,
    MelSpec,
    ParallelWaveGAN,
    ParallelWaveGANConfig,
    Vocoder,
)

BANDS = 6
MEL = MelSpec(rate=16_000, n_fft=64, hop=16, win=60, bands=BANDS, fmax=8_000)
NORMALISED = replace(MEL, centred=True, log="e", mean=(-3.0,) * BANDS, scale=tuple(range(1, 7)))
OTHER_BLOCK = HiFiGANConfig(
    8, (5, 3), (11, 6), (3,), ((1, 3),), 2
)  # odd excess of kernel over rate

SMALL: dict[str, Callable[[], Vocoder]] = {
    "melgan": lambda: MelGAN(MelGANConfig(32, (5, 3), 2), replace(MEL, hop=15)),
    "melgan-one-stretch": lambda: MelGAN(MelGANConfig(16, (4,), 1), replace(NORMALISED, hop=4)),
    "pwg": lambda: ParallelWaveGAN(
        ParallelWaveGANConfig(4, 2, residual=4, gate=6, skip=5, scales=(3, 5)),
        replace(NORMALISED, hop=15),
    ),
    "pwg-wide": lambda: ParallelWaveGAN(
        ParallelWaveGANConfig(3, 1, residual=3, gate=4, skip=4, kernel=5, scales=(16,), context=0),
        MEL,
    ),
    "pwg-folded": lambda: ParallelWaveGAN(
        ParallelWaveGANConfig(4, 2, residual=4, gate=6, skip=5, scales=(2, 3), fold=4),
        replace(NORMALISED, hop=24),
    ),
    "hifigan": lambda: HiFiGAN(
        HiFiGANConfig(16, (4, 4), (8, 6), (3, 5), ((1, 2), (1, 3))), replace(MEL, log="e")
    ),
    "hifigan-other-block": lambda: HiFiGAN(OTHER_BLOCK, replace(MEL, hop=15)),
    "griffin-lim": lambda: GriffinLim(GriffinLimConfig(3), MEL),
    "griffin-lim-centred": lambda: GriffinLim(GriffinLimConfig(2, 0.5), NORMALISED),
}
TRAINABLE = [name for name in SMALL if "griffin" not in name]


def small(name: str) -> Vocoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SMALL[name]().eval().requires_grad_(False)


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def noise_for(vocoder: Vocoder, mel: Tensor) -> Tensor | None:
    return normal(len(mel), 1, mel.shape[-1] * vocoder.hop).to(mel) if vocoder.noisy else None


def weight_normed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network with weight norm, as the published checkpoints hold it."""
    out = {}
    for key, value in weights.items():
        if key.endswith("weight"):
            shape = (-1,) + (1,) * (value.dim() - 1)
            out[f"{key}_g"] = value.flatten(1).norm(dim=1).view(shape)
            out[f"{key}_v"] = 3.0 * value
        else:
            out[key] = value
    return out


def with_gains(network: nn.Module) -> int:
    """Parameters with one weight-norm gain for each slice of each convolution's first axis."""
    convs = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
    gains = sum(m.weight.shape[0] for m in network.modules() if isinstance(m, convs))
    return gains + sum(p.numel() for p in network.parameters())

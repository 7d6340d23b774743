"""The table of vocoders."""

from __future__ import annotations

from pathlib import Path

from melmoat.assets import asset
from melmoat.facts import Origin, rests_on
from melmoat.spec import Registry
from melmoat.vocoders import checkpoints, published
from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.griffin_lim import GriffinLim, GriffinLimConfig


@rests_on(lambda _: Origin([asset("melgan-lab.safetensors")]))
def melgan_lab() -> Vocoder:
    """The MelGAN that ships: 16 kHz, 0.8 M parameters."""
    return checkpoints.load(asset("melgan-lab.safetensors"))


@rests_on(lambda _: Origin([asset("pwg-lab.safetensors")]))
def pwg_lab() -> Vocoder:
    """The Parallel WaveGAN that ships: 16 kHz, 0.35 M parameters."""
    return checkpoints.load(asset("pwg-lab.safetensors"))


@rests_on(published.beside)
def trained(path: Path) -> Vocoder:
    """A vocoder that ``melmoat train vocoder`` wrote."""
    return checkpoints.load(path)


def griffin_lim(
    iterations: int = 32, momentum: float = 0.99, through: int | None = None
) -> Vocoder:
    """Phase reconstruction at 16 kHz, without weights.

    More than 32 iterations help little. ``through`` is how many of the last iterations a gradient
    runs through: of all of them it is exact and of little use to an attacker, who does better with
    few.
    """
    return GriffinLim(GriffinLimConfig(iterations, momentum, through)).eval()


VOCODERS: Registry[Vocoder] = Registry(
    "vocoder",
    {
        "descriptinc-melgan": published.descriptinc_melgan,
        "griffin-lim": griffin_lim,
        "hifigan": published.hifigan,
        "hifigan-universal": published.hifigan_universal,
        "melgan-lab": melgan_lab,
        "parallel_wavegan": published.parallel_wavegan,
        "pwg-lab": pwg_lab,
        "trained": trained,
    },
    group="melmoat.vocoders",
)


def load(spec: str) -> Vocoder:
    """Build a vocoder from its spec, in eval mode with frozen weights."""
    return VOCODERS.build(spec)

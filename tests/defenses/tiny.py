"""Vocoders and a diffusion model so small that their exact gradient can be checked."""

import torch

from melmoat.denoisers.diffusion import DiffusionConfig, DiffusionDenoiser
from melmoat.vocoders import MelGAN, MelGANConfig, ParallelWaveGAN, ParallelWaveGANConfig
from melmoat.vocoders.mel import MelSpec

MEL = MelSpec(rate=16_000, n_fft=16, hop=4, win=12, bands=4, fmax=8_000)
MEL_22K = MelSpec(rate=22_050, n_fft=16, hop=4, win=16, bands=4, fmax=8_000, log="e")


def tiny_melgan(mel: MelSpec = MEL) -> MelGAN:
    torch.manual_seed(0)
    config = MelGANConfig(channels=8, ratios=(2, 2), blocks=1)
    return MelGAN(config, mel).eval().requires_grad_(False)


def tiny_pwg(mel: MelSpec = MEL) -> ParallelWaveGAN:
    torch.manual_seed(0)
    config = ParallelWaveGANConfig(layers=2, stacks=1, residual=4, gate=4, skip=4, scales=(2, 2))
    return ParallelWaveGAN(config, mel).eval().requires_grad_(False)


def tiny_diffusion() -> DiffusionDenoiser:
    """Its weights are random: no part of it is zero."""
    torch.manual_seed(0)
    config = DiffusionConfig(16, 2, 4, 5, 6, 8, blocks=2, kernel=3, embedding=4)
    network = DiffusionDenoiser(config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network.eval().requires_grad_(False)

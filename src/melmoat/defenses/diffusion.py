"""Diffusion purification: noise on the speech, then a diffusion model that takes it out again.

The noise drowns a perturbation, and the model puts clean speech in its place (DiffPure, Nie et al.
2022; for speech AudioPure, Wu et al. 2023). An attacker sees through all of it: the gradient is
exact, through every reverse step, and its memory does not grow with the steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from melmoat import levels
from melmoat.assets import asset
from melmoat.audio import Audio, check_db
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.defenses.resynthesis import fitted
from melmoat.defenses.smoothing import GaussianNoise
from melmoat.denoisers import diffusion as networks
from melmoat.denoisers.diffusion import DiffusionDenoiser
from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.facts import Origin, rests_on
from melmoat.resampling import resample

RATE = 16_000  # Hz, of the network
FAINTEST = 40.0  # SNR in dB to which the reverse steps go down; the last of them takes all away
SHIPPED = "diffusion-lab.safetensors"
Sampler = Literal["ddpm", "ddim"]


class Purifier(FrontEnd):
    """White noise, then ``steps`` reverse steps that take it out.

    The deviations of the noise fall by equal factors, from that of the noise that was added towards
    an SNR of 40 dB, or of ``until``. Each step puts the network's estimate in the place of the
    speech and keeps as much noise as the next deviation says. The last one keeps none, unless
    ``until`` says how much.

    - ``ddim`` (Song et al. 2021) keeps the noise that the network found, scaled down.
    - ``ddpm`` (Ho et al. 2020) also replaces a part of it by fresh noise: the ancestral step, with
      the posterior variance ``s_next^2 (1 - s_next^2 / s^2)``.

    Audio of another rate goes to 16 kHz and back. An offset (DC) is kept: it is taken off before
    and added again.

    Args:
        network: estimates clean speech, as :class:`melmoat.denoisers.diffusion.DiffusionDenoiser`.
        noise: what is added first; its level follows that of the speech, or is fixed.
        steps: reverse steps, each a pass through the network.
        sampler: what a step keeps of the noise.
        until: SNR in dB below the loudest 0.4 s at which the steps end; None takes all noise away.
        save_memory: compute each step again in the backward pass instead of keeping it.
    """

    stochastic = True

    def __init__(
        self,
        network: DiffusionDenoiser,
        noise: GaussianNoise,
        steps: int = 1,
        sampler: Sampler = "ddpm",
        until: float | None = None,
        save_memory: bool = True,
    ) -> None:
        if steps < 1:
            raise ValueError(f"steps must be at least 1, got {steps}")
        if until is not None:
            check_db("until", until)
        if until is not None and noise.sigma is not None:
            raise ValueError("until is relative to the speech and sigma is not; give snr instead")
        if until is not None and until < noise.snr:
            raise ValueError(f"until={until:g} is louder noise than snr={noise.snr:g}, dB")
        self.network, self.noise, self.steps = network, noise, steps
        self.sampler, self.until, self.save_memory = sampler, until, save_memory

    @property
    def dilutes(self) -> bool:
        """As its noise."""
        return self.noise.dilutes

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        speech = resample(audio, RATE)
        centred = speech.with_wav(speech.centred)
        level = levels.loudest(centred)
        sigma = self.noise.deviation(centred)
        factor = self._factor(sigma, level)
        wav = centred.wav + sigma[:, None] * draws.normal(centred.wav)
        wav = wav * centred.mask
        network = beside(self.network, wav)

        def estimate(noisy: Tensor, sigma: Tensor, level: Tensor) -> Tensor:
            made: Tensor = network(noisy, centred.lengths, sigma, level)
            return made * centred.mask

        for step in range(self.steps):
            if self.save_memory and torch.is_grad_enabled() and wav.requires_grad:
                clean: Tensor = checkpoint(
                    estimate, wav, sigma, level, use_reentrant=False, preserve_rng_state=False
                )
            else:
                clean = estimate(wav, sigma, level)
            if step == self.steps - 1 and self.until is None:
                wav = clean
                break
            wav, sigma = self._kept(wav - clean, sigma, factor, draws)
            wav = (clean + wav) * centred.mask
        purified = speech.with_wav(wav + (speech.wav - centred.wav))
        return fitted(audio, resample(purified, audio.rate).wav)

    def _factor(self, sigma: Tensor, level: Tensor) -> Tensor:
        """By what the deviation is multiplied at each step. Shape: ``[B]``."""
        end = FAINTEST if self.until is None else self.until
        if self.noise.sigma is None:
            ratio = torch.full_like(sigma, 10 ** ((self.noise.snr - end) / 20))
        else:
            ratio = level.clamp(min=networks.FAINTEST) * 10 ** (-end / 20) / sigma
        return ratio.clamp(max=1.0) ** (1 / self.steps)

    def _kept(
        self, noise: Tensor, sigma: Tensor, factor: Tensor, draws: Draws
    ) -> tuple[Tensor, Tensor]:
        """The noise that a step keeps ``[B, T]``, and its deviation ``[B]``."""
        following = sigma * factor
        if self.sampler == "ddim":
            return factor[:, None] * noise, following
        fresh = following * (1 - factor.square()).clamp(min=0).sqrt()
        drawn = fresh[:, None] * draws.normal(noise)
        return factor.square()[:, None] * noise + drawn, following


def _origin(args: Mapping[str, Any]) -> Origin:
    return Origin([] if args["weights"] else [asset(SHIPPED)])


@rests_on(_origin)
def diffusion(
    snr: float = 15.0,
    steps: int = 1,
    sampler: Sampler = "ddpm",
    until: float | None = None,
    sigma: float | None = None,
    weights: Path | None = None,
    gradient: Gradient = "exact",
) -> FrontEnd:
    """Diffusion purification: white noise, and a diffusion model that takes it out.

    Args:
        snr: SNR in dB of the noise, below the loudest 0.4 s.
        steps: reverse steps, each a pass through the network.
        sampler: ddpm draws fresh noise between two steps, ddim does not.
        until: SNR in dB at which the steps end, with that much noise left; by default none is.
        sigma: a fixed level of the noise instead of ``snr``; full scale is 1.
        weights: what ``melmoat train diffusion`` wrote, instead of the network that ships.
        gradient: what attackers get in the backward pass.
    """
    network, noise = networks.load(weights or asset(SHIPPED)), GaussianNoise(snr, sigma=sigma)
    return with_gradient(Purifier(network, noise, steps, sampler, until), gradient)

"""Trains a vocoder: first with spectral losses, then also with a discriminator.

The generator is trained on random crops of speech. Until ``warmup`` it minimises a multi-resolution
STFT loss and the difference of log-mel spectrograms. After that a discriminator is trained, too. It
adds its adversarial loss and, for MelGAN, feature matching.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from melmoat.audio import PCM16, Audio
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.training import loop
from melmoat.training.average import follow
from melmoat.vocoders.base import Vocoder, fold_weight_norm
from melmoat.vocoders.losses import (
    discriminator_loss,
    feature_matching,
    generator_loss,
    mel_loss,
    stft_loss,
)

NetworkT = TypeVar("NetworkT", bound=nn.Module)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)


@dataclass(frozen=True)
class VocoderRecipe:
    """Settings of a training run.

    ``adversarial`` and ``matching`` weigh means over scales and layers. The log-mel difference is
    HiFi-GAN's addition; MelGAN's own recipe has no spectral loss.
    """

    steps: int = 20_000
    warmup: int = 15_000  # steps before the discriminator joins
    batch: int = 8  # crops
    frames: int = 48  # of a crop
    lr: float = 1e-3  # the generator's peak, then half a cosine to zero
    lr_discriminator: float = 2e-4  # constant
    clip: float = 10.0  # norm of the generator's gradient
    mel: float = 2.0  # weight of the log-mel difference
    adversarial: float = 1.0
    matching: float = 10.0
    adversary: Literal["hinge", "lsgan"] = "hinge"
    resolutions: tuple[tuple[int, int, int], ...] = (
        (2048, 400, 1200),
        (1024, 200, 600),
        (512, 80, 240),
    )
    average: float = 0.999  # decay of the moving average of the weights
    seed: int = 0

    def __post_init__(self) -> None:
        loop.check_rate(self.lr)
        loop.check_rate(self.lr_discriminator)


class VocoderTask:
    """The task for :func:`melmoat.training.loop.run`.

    Args:
        vocoder: the generator, with its ``mel``.
        discriminator: what joins after the warm-up; None to train on spectra alone.
        waves: speech to learn from, int16. Shape of each: ``[L]``.
        held_out: speech to validate on.
        device: where it is computed.
    """

    def __init__(
        self,
        vocoder: Vocoder,
        discriminator: nn.Module | None,
        waves: Sequence[Tensor],
        held_out: Sequence[Tensor],
        recipe: VocoderRecipe,
        device: str = CPU,
    ) -> None:
        self.spec, self.recipe, self.device = vocoder.mel, recipe, device
        self.vocoder = _weight_normed(vocoder).to(device)
        self.average = copy.deepcopy(vocoder).eval().requires_grad_(False)
        self.discriminator = discriminator and _weight_normed(discriminator).to(device)
        # The crop, and what its outer frames hear beyond it.
        self.beyond = -(-self.spec.n_fft // self.spec.hop) * self.spec.hop
        self.crop = recipe.frames * self.spec.hop
        self.whole = whole = self.crop + 2 * self.beyond
        self.waves = [w for w in waves if len(w) > whole]
        self.held_out = [w for w in held_out if len(w) > whole]
        if not self.waves:
            raise MelmoatError(
                f"no utterance is as long as a crop ({whole} samples); use fewer frames a crop"
            )
        room = np.array([len(w) - whole for w in self.waves], dtype=np.float64)
        self.chances = room / room.sum()
        self.optimizers = [torch.optim.AdamW(self.vocoder.parameters(), recipe.lr, (0.8, 0.99))]
        if self.discriminator is not None:
            self.optimizers.append(
                torch.optim.AdamW(
                    self.discriminator.parameters(), recipe.lr_discriminator, (0.5, 0.9)
                )
            )
        self.guards = [loop.Guard() for _ in self.optimizers]

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Random crops at random gain: normalised mel ``[B, bands, F]``, waves ``[B, F * hop]``."""
        waves = []
        for i in rng.choice(len(self.waves), self.recipe.batch, p=self.chances):
            piece = self._piece(self.waves[i], rng)
            most = float(piece.abs().max().clamp(min=1e-4))
            gain = 10 ** (rng.uniform(-12, 6) / 20)
            waves.append(piece * min(gain, 0.99 / most))
        return self._conditioned(torch.stack(waves))

    def _piece(self, wave: Tensor, rng: np.random.Generator) -> Tensor:
        """A random crop with what lies beyond it. Shape: ``[L]``, int16 -> ``[whole]``, float."""
        begin = int(rng.integers(0, len(wave) - self.whole))
        return wave[begin : begin + self.whole].float() / PCM16

    def _conditioned(self, waves: Tensor) -> tuple[Tensor, Tensor]:
        waves = waves.to(self.device)
        lengths = torch.full((len(waves),), waves.shape[1], device=waves.device)
        with torch.no_grad():
            mel, _ = self.spec(Audio(waves, lengths, self.spec.rate))
        skip = self.beyond // self.spec.hop
        mel = self.spec.normalise(mel[..., skip : skip + self.recipe.frames])
        return mel, waves[:, self.beyond : self.beyond + self.crop]

    def _generate(self, vocoder: Vocoder, mel: Tensor, rng: np.random.Generator) -> Tensor:
        noise = None
        if vocoder.noisy:
            shape = (len(mel), 1, mel.shape[-1] * vocoder.hop)
            noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32)).to(mel.device)
        wave: Tensor = vocoder(mel, noise)
        return wave

    def _spectral(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        return stft_loss(made, real, self.recipe.resolutions), mel_loss(self.spec, made, real)

    def step(self, number: int) -> dict[str, float]:
        """One step of the generator and, after the warm-up, one of the discriminator."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 1, number])
        rate = recipe.lr * loop.cosine((number + 1) / (recipe.steps + 1), warmup=0.01)
        for group in self.optimizers[0].param_groups:
            group["lr"] = rate
        mel, real = self.batch(rng)
        made = self._generate(self.vocoder, mel, rng)
        stft, mels = self._spectral(made, real)
        loss = stft + recipe.mel * mels
        figures = {"stft": stft.item(), "mel": mels.item()}
        if self.discriminator is not None and number >= recipe.warmup:
            figures.update(self._teach(made.detach(), real))
            extra = self._deceive(made, real)
            figures["fooled"] = extra.item()
            loss = loss + extra
        self.optimizers[0].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.vocoder.parameters(), recipe.clip)
        self.guards[0].step(self.optimizers[0], norm)
        follow(self.average, self.vocoder, number, recipe.average)
        return {**figures, "norm": norm.item()}

    def _teach(self, made: Tensor, real: Tensor) -> dict[str, float]:
        assert self.discriminator is not None
        self.discriminator.requires_grad_(True)
        both = self.discriminator(torch.cat([made, real]))
        fake = [[f.chunk(2)[0] for f in scale] for scale in both]
        true = [[f.chunk(2)[1] for f in scale] for scale in both]
        loss = discriminator_loss(fake, true, self.recipe.adversary)
        self.optimizers[1].zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.discriminator.parameters(), math.inf)
        self.guards[1].step(self.optimizers[1], norm)
        return {"discriminator": loss.item()}

    def _deceive(self, made: Tensor, real: Tensor) -> Tensor:
        assert self.discriminator is not None
        self.discriminator.requires_grad_(False)
        fake = self.discriminator(made)
        loss = self.recipe.adversarial * generator_loss(fake, self.recipe.adversary)
        if self.recipe.matching:
            with torch.no_grad():
                true = self.discriminator(real)
            loss = loss + self.recipe.matching * feature_matching(fake, true)
        return loss

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Spectral losses of the averaged weights on held-out speech."""
        losses = []
        rng = np.random.default_rng([self.recipe.seed, 2])
        for wave in self.held_out[:: max(1, len(self.held_out) // 32)]:
            mel, real = self._conditioned(self._piece(wave, rng)[None])
            made = self._generate(self.average, mel, rng)
            losses.append([x.item() for x in self._spectral(made, real)])
        if not losses:
            return {}
        stft, mels = np.mean(losses, axis=0).tolist()
        return {"held_out_stft": stft, "held_out_mel": mels}

    def state(self) -> dict[str, Any]:
        """Weights, their average, and the optimisers' moments."""
        return {
            "vocoder": self.vocoder.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": self.discriminator and self.discriminator.state_dict(),
            "optimizers": [o.state_dict() for o in self.optimizers],
            "skipped": [guard.skipped for guard in self.guards],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state`."""
        self.vocoder.load_state_dict(state["vocoder"])
        self.average.load_state_dict(state["average"])
        if self.discriminator is not None:
            self.discriminator.load_state_dict(state["discriminator"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for guard, skipped in zip(self.guards, state.get("skipped", ()), strict=False):
            guard.skipped = skipped  # a run of an older version has none


def _weight_normed(module: NetworkT) -> NetworkT:
    """The same network, in place, with weight norm on every convolution."""
    for part in module.modules():
        if isinstance(part, CONVOLUTIONS):
            parametrizations.weight_norm(part)
    return module


def plain(vocoder: Vocoder) -> Vocoder:
    """A frozen copy without weight norm."""
    published = {"parametrizations.weight.original0": "weight_g"}
    published["parametrizations.weight.original1"] = "weight_v"
    state = {}
    for key, value in vocoder.state_dict().items():
        for ours, theirs in published.items():
            key = key.replace(ours, theirs)
        state[key] = value
    network: Any = type(vocoder)
    made: Vocoder = network(vocoder.config, vocoder.mel)
    made.load_state_dict(fold_weight_norm(state))
    return made.eval().requires_grad_(False)

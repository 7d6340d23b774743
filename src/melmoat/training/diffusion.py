"""Trains the denoiser of diffusion purification on clean speech.

White noise is added to random crops, its SNR uniform in dB. The loss is EDM's (Karras et al. 2022,
section 5): the squared error of each coefficient, divided by ``c_out^2``. Zero output of the
network has a loss of about 1 at every level of noise and at every frequency.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from melmoat import __version__, data
from melmoat.audio import PCM16, RATE, Audio
from melmoat.denoisers import diffusion
from melmoat.denoisers.diffusion import DiffusionConfig, DiffusionDenoiser
from melmoat.devices import CPU, usable
from melmoat.errors import MelmoatError
from melmoat.levels import loudest
from melmoat.progress import Progress, silent
from melmoat.training import loop
from melmoat.training.average import follow
from melmoat.training.splits import combine, provenance, split_speakers
from melmoat.training.vocoder_setups import waves

SHOWN = (0, 5, 10, 20, 30)  # dB, of the validation


@dataclass(frozen=True)
class DiffusionRecipe:
    """Settings of a training run."""

    steps: int = 3_000
    batch: int = 8  # crops
    seconds: float = 1.5  # of a crop
    loudest: float = -5.0  # SNR of the loudest noise, dB below the loudest 0.4 s of the utterance
    faintest: float = 35.0  # SNR of the faintest noise
    lr: float = 2e-3  # the peak, then half a cosine to zero
    clip: float = 1.0  # norm of the gradient
    average: float = 0.995  # decay of the moving average of the weights
    seed: int = 0

    def __post_init__(self) -> None:
        loop.check_rate(self.lr)


class DiffusionTask:
    """The task for :func:`melmoat.training.loop.run`.

    Args:
        network: the denoiser, which gets the spectral profile of ``waves``.
        waves: speech to learn from, int16, 16 kHz. Shape of each: ``[L]``.
        held_out: speech to validate on.
        device: where it is computed.

    Raises:
        MelmoatError: no utterance is as long as a crop, or all are silent.
    """

    def __init__(
        self,
        network: DiffusionDenoiser,
        waves: Sequence[Tensor],
        held_out: Sequence[Tensor],
        recipe: DiffusionRecipe,
        device: str = CPU,
    ) -> None:
        self.recipe, self.device = recipe, device
        self.crop = round(recipe.seconds * RATE)
        self.waves, self.levels = self._usable(waves)
        self.held_out, self.held_levels = self._usable(held_out)
        if not self.waves:
            raise MelmoatError(
                f"no utterance has the {self.crop} samples of a crop and sound in it; give longer "
                "recordings"
            )
        network.log_profile.copy_(profile(network, self.waves, self.levels))
        self.network = network.to(device)
        self.average = copy.deepcopy(self.network).eval().requires_grad_(False)
        room = np.array([len(w) - self.crop + 1 for w in self.waves], dtype=np.float64)
        self.chances = room / room.sum()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), recipe.lr, (0.9, 0.98))
        self.guard = loop.Guard()

    def _usable(self, waves: Sequence[Tensor]) -> tuple[list[Tensor], list[float]]:
        """The utterances with sound that are as long as a crop, and their levels."""
        long = [wave for wave in waves if len(wave) >= self.crop]
        levels = [float(loudest(Audio.of([wave.float() / PCM16]))) for wave in long]
        found = [(w, level) for w, level in zip(long, levels, strict=True) if level > 0]
        return [w for w, _ in found], [level for _, level in found]

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Random crops ``[B, T]``, the deviation of their noise ``[B]``, and the level of their
        utterances ``[B]``."""
        recipe, crops, levels = self.recipe, [], []
        for i in rng.choice(len(self.waves), recipe.batch, p=self.chances):
            crops.append(self._crop(self.waves[i], rng))
            levels.append(self.levels[i])
        snr = rng.uniform(recipe.loudest, recipe.faintest, recipe.batch)
        level = torch.tensor(levels)
        sigma = level * torch.from_numpy(10 ** (-snr / 20)).float()
        return torch.stack(crops).to(self.device), sigma.to(self.device), level.to(self.device)

    def _crop(self, wave: Tensor, rng: np.random.Generator) -> Tensor:
        """A random crop without the mean. Shape: ``[L]``, int16 -> ``[T]``, float."""
        begin = int(rng.integers(0, len(wave) - self.crop + 1))
        piece = wave[begin : begin + self.crop].float() / PCM16
        return piece - wave.float().mean() / PCM16

    def step(self, number: int) -> dict[str, float]:
        """One step; its loss and the norm of its gradient."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, 1, number])
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.lr * loop.cosine((number + 1) / (recipe.steps + 1))
        clean, sigma, level = self.batch(rng)
        losses, _ = errors(self.network, clean, noise_for(clean, rng), sigma, level)
        self.optimizer.zero_grad(set_to_none=True)
        losses.mean().backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip)
        self.guard.step(self.optimizer, norm)
        follow(self.average, self.network, number, recipe.average)
        return {"loss": losses.mean().item(), "norm": norm.item()}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Of the averaged weights on held-out speech, for each SNR of :data:`SHOWN`: the loss, and
        by how many dB the SNR rises."""
        rng = np.random.default_rng([self.recipe.seed, 2])
        some = range(0, len(self.held_out), max(1, len(self.held_out) // 24))
        if not some:
            return {}
        clean = torch.stack([self._crop(self.held_out[i], rng) for i in some]).to(self.device)
        level = torch.tensor([self.held_levels[i] for i in some], device=self.device)
        noise, figures = noise_for(clean, rng), {}
        for snr in SHOWN:
            sigma = level * 10 ** (-snr / 20)
            losses, gains = errors(self.average, clean, noise, sigma, level)
            figures[f"held_out_loss_{snr}db"] = losses.mean().item()
            figures[f"held_out_gain_{snr}db"] = gains.mean().item()
        return figures

    def state(self) -> dict[str, Any]:
        """Weights, their average, and the optimiser's moments."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "skipped": self.guard.skipped,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state`."""
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.guard.skipped = state.get("skipped", 0)  # a run of an older version has none


def noise_for(clean: Tensor, rng: np.random.Generator) -> Tensor:
    """White noise of deviation 1. Shape: as ``clean``."""
    drawn = rng.standard_normal(tuple(clean.shape), dtype=np.float32)
    return torch.from_numpy(drawn).to(clean.device)


def errors(
    network: DiffusionDenoiser, clean: Tensor, noise: Tensor, sigma: Tensor, level: Tensor
) -> tuple[Tensor, Tensor]:
    """What the network leaves of the noise.

    Args:
        clean: speech. Shape: ``[B, T]``.
        noise: of deviation 1. Shape: ``[B, T]``.
        sigma: deviation of the noise to add. Shape: ``[B]``.
        level: of the speech. Shape: ``[B]``.

    Returns:
        EDM's loss, and by how many dB the SNR of the waveform rises. Shape of each: ``[B]``.
    """
    size = clean.shape[1]
    noisy = network.spectrum(clean + sigma[:, None] * noise)
    mask = torch.ones(noisy.shape[:2], dtype=torch.bool, device=clean.device)
    made = network.estimate(noisy, mask, sigma, level)
    wrong = made - network.spectrum(clean)
    deviation, speech = network.scales(sigma, level)
    scale = deviation.square() * speech.square() / (deviation.square() + speech.square())
    losses = ((wrong.real.square() + wrong.imag.square()) / scale).mean((1, 2))
    with torch.no_grad():
        left = (network.waveform(made, size) - clean).square().sum(1)
        gains = 10 * torch.log10((sigma[:, None] * noise).square().sum(1) / left)
    return losses, gains


@torch.no_grad()
def profile(network: DiffusionDenoiser, waves: Sequence[Tensor], levels: Sequence[float]) -> Tensor:
    """Logarithm of the deviation of each coefficient of speech of level 1, over 500 utterances or
    more. Shape: ``[bins]``."""
    every = max(1, len(waves) // 500)
    total, frames = torch.zeros(network.bins, dtype=torch.float64), 0
    for wave, level in zip(waves[::every], levels[::every], strict=True):
        speech = Audio.of([wave.float() / PCM16]).centred / level
        seen = network.spectrum(speech.double())[0]
        total += seen.abs().square().sum(0)
        frames += len(seen)
    return 0.5 * (total / frames).clamp(min=1e-8).log().float()


def train_diffusion(
    out: Path,
    corpora: Sequence[str],
    held_out: int,
    recipe: DiffusionRecipe,
    config: DiffusionConfig | None = None,
    device: str = CPU,
    progress: Progress = silent,
) -> tuple[Path, dict[str, float]]:
    """Train from corpora in ``out``, going on where an earlier run stopped, and export.

    Args:
        corpora: corpus specs; the speakers held out are chosen among theirs.
        held_out: the number of these speakers.
        config: sizes of the network; None for those of the lab network.
        device: where it is computed, such as ``cuda``; a run may go on on another.

    Returns:
        ``out/model.safetensors``, whose card says what data, settings and scores it is of, and its
        scores on the held-out speakers; also how many steps were skipped, if any.
    """
    usable(device)
    config = config or DiffusionConfig()
    training, held = split_speakers(combine([data.load(s) for s in corpora]), held_out)
    settings = {
        "trained_on": [provenance(spec) for spec in corpora],
        "held_out_speakers": sorted({cut.supervisions[0].speaker for cut in held}),
        "config": asdict(config),
        "recipe": asdict(recipe),
    }
    loop.begun(out, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = DiffusionDenoiser(config)
    task = DiffusionTask(network, waves(training, RATE), waves(held, RATE), recipe, device)
    loop.run(task, recipe.steps, out, validate_every=200, settings=settings, progress=progress)
    scores = task.validate()
    if task.guard.skipped:
        scores["skipped_steps"] = task.guard.skipped
    path = out / "model.safetensors"
    card: dict[str, Any] = {k: v for k, v in settings.items() if k != "config"}
    diffusion.save(path, task.average, {**card, **scores, "melmoat": __version__})
    return path, scores

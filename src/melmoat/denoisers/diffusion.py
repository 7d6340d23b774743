"""A denoiser that knows the level of the noise: what diffusion purification is made of.

The network gets speech in white Gaussian noise of known standard deviation and estimates the clean
speech. It works on a short-time spectrum in the scaling of EDM (Karras et al. 2022, section 5): its
input and its target have about unit variance at every level of noise, and it is the identity where
there is no noise. Instead of one variance of the data there is one for each frequency, because
speech is much weaker at high frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat import weights
from melmoat.denoisers.framing import framed, summed
from melmoat.spectral import frame_mask
from melmoat.weights import WeightsError

FAINTEST = 1e-6  # least level of speech: 30 dB below one step of 16 bits
LEVELS = (-5.0, 40.0)  # SNRs in dB that the network tells apart
KIND = "diffusion"  # in the header of a file


@dataclass(frozen=True)
class DiffusionConfig:
    """Sizes of a :class:`DiffusionDenoiser`.

    Args:
        window: samples of a frame; the hop is half of it.
        patch: neighbouring frequency bins that become one band.
        channels: features of a band.
        coarse: features of a group of ``patch`` bands.
        width: features of a frame as a whole.
        hidden: features inside a block over time.
        blocks: blocks over time; block ``i`` skips ``2**i`` frames.
        kernel: frames that a block over time hears.
        embedding: features of the level of the noise.
    """

    window: int = 512
    patch: int = 4
    channels: int = 32
    coarse: int = 40
    width: int = 176
    hidden: int = 288
    blocks: int = 3
    kernel: int = 5
    embedding: int = 48

    def __post_init__(self) -> None:
        if min(asdict(self).values()) < 1 or self.window % 2 or not self.kernel % 2:
            raise ValueError(f"sizes must be positive, window even and kernel odd; got {self}")


class Film(nn.Module):
    """Layer norm over the features, with a gain and an offset that the level of noise sets."""

    def __init__(self, features: int, embedding: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.scale = nn.Linear(embedding, 2 * features)
        nn.init.zeros_(self.scale.weight)
        nn.init.zeros_(self.scale.bias)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """Shape: ``[B, F, ..., features]`` and ``[B, embedding]`` -> as ``x``."""
        gain, offset = self.scale(level).chunk(2, dim=-1)
        shape = (len(x), *(1,) * (x.dim() - 2), -1)
        normed: Tensor = self.norm(x)
        made: Tensor = normed * (1 + gain.view(shape)) + offset.view(shape)
        return made


class BandBlock(nn.Module):
    """A residual 3 x 3 convolution over frames and bands."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.film = Film(config.channels, config.embedding)
        self.conv = nn.Conv2d(config.channels, config.channels, 3, padding=1)

    def forward(self, x: Tensor, level: Tensor, mask: Tensor) -> Tensor:
        """Shape: ``[B, F, bands, channels]``; the mask is ``[B, F]``."""
        y = F.gelu(self.film(x, level)) * mask[..., None, None]
        made: Tensor = self.conv(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + made


class TimeBlock(nn.Module):
    """A residual convolution over time, one for each feature, and a layer over the features."""

    def __init__(self, config: DiffusionConfig, dilation: int) -> None:
        super().__init__()
        width, reach = config.width, dilation * (config.kernel // 2)
        self.film = Film(width, config.embedding)
        self.conv = nn.Conv1d(
            width, width, config.kernel, padding=reach, dilation=dilation, groups=width
        )
        self.up, self.down = nn.Linear(width, config.hidden), nn.Linear(config.hidden, width)

    def forward(self, x: Tensor, level: Tensor, mask: Tensor) -> Tensor:
        """Shape: ``[B, F, width]``; the mask is ``[B, F]``."""
        y = self.conv((self.film(x, level) * mask[..., None]).mT).mT
        made: Tensor = x + self.down(F.gelu(self.up(y)))
        return made


class DiffusionDenoiser(nn.Module):
    """The clean speech that is expected behind white noise of known level.

    With ``s`` the deviation of the noise and ``d`` that of speech at this frequency, the estimate
    of a coefficient ``y`` is ``sigmoid(log(d^2 / s^2) + a) y + c r``, where ``c``, EDM's ``c_out``,
    is ``s d / sqrt(s^2 + d^2)``. The network gives ``a``, the local power of speech relative to
    ``d^2`` as a logarithm, and the remainder ``r``. Zeros give EDM's ``c_skip y``: the best
    estimate if the coefficients are Gaussian with variance ``d^2``.

    The scale of the speech does not matter: all is computed relative to its level. Outside of a
    recording there is silence, and an utterance gives the same alone and in a batch.

    Attributes:
        log_profile: logarithm of the deviation of the coefficients of speech of level 1, where
            white noise of deviation 1 has 1. Shape: ``[window // 2 + 1]``.
        card: facts about the weights.
    """

    log_profile: Tensor
    card: Mapping[str, Any]

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config, self.card = config, {}
        self.bins = config.window // 2 + 1
        self.bands = -(-self.bins // config.patch)
        self.groups = -(-self.bands // config.patch)
        self.register_buffer("log_profile", torch.full((self.bins,), math.log(0.5)))
        embedding, channels = config.embedding, config.channels
        self.level = nn.Sequential(
            nn.Linear(2 * (embedding // 2), embedding), nn.SiLU(), nn.Linear(embedding, embedding)
        )
        self.begin = nn.Conv2d(3 * config.patch, channels, 3, padding=1)
        self.first, self.last = BandBlock(config), BandBlock(config)
        self.coarser = nn.Linear(config.patch * channels, config.coarse)
        self.finer = nn.Linear(config.coarse, config.patch * channels)
        self.frame = nn.Linear(self.groups * config.coarse, config.width)
        self.unframe = nn.Linear(config.width, self.groups * config.coarse)
        self.over_time = nn.ModuleList(TimeBlock(config, 2**i) for i in range(config.blocks))
        self.film = Film(channels, embedding)
        self.end = nn.Linear(channels, 3 * config.patch)
        nn.init.zeros_(self.end.weight)
        nn.init.zeros_(self.end.bias)

    def forward(self, wav: Tensor, lengths: Tensor, sigma: Tensor, level: Tensor) -> Tensor:
        """The estimate of the clean speech.

        Args:
            wav: speech in noise, 16 kHz, zero beyond each length. Shape: ``[B, T]``.
            lengths: samples of each utterance. Shape: ``[B]``.
            sigma: standard deviation of the noise; 0 gives ``wav``. Shape: ``[B]``.
            level: of the clean speech (:func:`melmoat.levels.loudest`). Shape: ``[B]``.

        Shape: ``[B, T]``; samples beyond each length are not meaningful.
        """
        mask = frame_mask(self.frames(lengths), self.frames(wav.shape[1]))
        clean = self.estimate(self.spectrum(wav), mask, sigma, level)
        return self.waveform(clean, wav.shape[1])

    def frames(self, samples: Any) -> Any:
        """The number of frames of so many samples."""
        hop = self.config.window // 2
        return (samples + 2 * hop - 1) // hop

    def _window(self, like: Tensor) -> Tensor:
        """The square root of a Hann window: the squares of neighbours add up to 1."""
        places = torch.arange(self.config.window, dtype=like.dtype, device=like.device)
        return torch.sin(places * (math.pi / self.config.window))

    def spectrum(self, wav: Tensor) -> Tensor:
        """Coefficients in which white noise of deviation 1 has a mean square of 1.

        Shape: ``[B, T]`` -> ``[B, F, bins]``, complex.
        """
        size = self.config.window
        frames = framed(wav, size, size // 2) * self._window(wav)
        spectrum: Tensor = torch.fft.rfft(frames) * (2 / size) ** 0.5
        return spectrum

    def waveform(self, spectrum: Tensor, length: int) -> Tensor:
        """The inverse of :meth:`spectrum`. Shape: ``[B, F, bins]`` -> ``[B, length]``."""
        size = self.config.window
        frames = torch.fft.irfft(spectrum, size) * (size / 2) ** 0.5
        wav: Tensor = summed(frames * self._window(frames), size // 2, length)
        return wav

    def scales(self, sigma: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
        """Deviations of the noise and of the speech in each coefficient.

        Shape: ``[B]`` and ``[B]`` -> ``[B, 1, 1]`` and ``[B, 1, bins]``.
        """
        speech = level.clamp(min=FAINTEST)[:, None, None] * self.log_profile.exp()
        return sigma[:, None, None], speech

    def estimate(self, noisy: Tensor, mask: Tensor, sigma: Tensor, level: Tensor) -> Tensor:
        """The estimate of clean coefficients.

        Args:
            noisy: what :meth:`spectrum` gives. Shape: ``[B, F, bins]``, complex.
            mask: true for the frames of each utterance. Shape: ``[B, F]``, bool.
            sigma: as in :meth:`forward`.
            level: as in :meth:`forward`.
        """
        noise, speech = self.scales(sigma, level)
        both = (noise.square() + speech.square()).sqrt()
        power, rest = self._network(noisy / both, mask, sigma / level.clamp(min=FAINTEST))
        # sigmoid(log(d^2 / s^2) + a), which needs no logarithm of a noise that may be zero
        clear = speech.square() * power.exp()
        return clear / (clear + noise.square()) * noisy + noise * speech / both * rest

    def _network(self, x: Tensor, mask: Tensor, ratio: Tensor) -> tuple[Tensor, Tensor]:
        """The local power of speech (a logarithm) and the remainder, of coefficients of about unit
        variance. Shape: ``[B, F, bins]`` and as much, the second complex."""
        patch, shape = self.config.patch, x.shape[:2]
        level = self.level(self._waves(ratio))
        power = x.real.square() + x.imag.square() + 1e-4
        size = power.sqrt().sqrt()
        seen = torch.stack([x.real / size, x.imag / size, 0.3 * power.log() + 0.5], dim=-1)
        seen = F.pad(seen, (0, 0, 0, self.bands * patch - self.bins)) * mask[..., None, None]
        seen = seen.reshape(*shape, self.bands, -1)
        fine = self.begin(seen.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        fine = self.first(fine, level, mask)
        coarse = F.pad(fine, (0, 0, 0, self.groups * patch - self.bands))
        coarse = self.coarser(coarse.reshape(*shape, self.groups, -1))
        whole = self.frame(F.gelu(coarse).flatten(2))
        for block in self.over_time:
            whole = block(whole, level, mask)
        coarse = coarse + self.unframe(whole).view(*shape, self.groups, -1)
        back = self.finer(F.gelu(coarse)).view(*shape, self.groups * patch, -1)
        fine = self.last(fine + back[:, :, : self.bands], level, mask)
        made = self.end(F.gelu(self.film(fine, level)))
        made = made.view(*shape, self.bands * patch, 3)[:, :, : self.bins]
        return 10 * torch.tanh(made[..., 0] / 10), torch.complex(made[..., 1], made[..., 2])

    def _waves(self, ratio: Tensor) -> Tensor:
        """Sines and cosines of the SNR. Shape: ``[B]`` -> ``[B, embedding]`` (an even number)."""
        low, high = LEVELS
        floor, roof = 10 ** (-high / 20), 10 ** (-low / 20)
        place = (ratio.clamp(floor, roof).log() - math.log(floor)) / math.log(roof / floor)
        turns = torch.arange(self.config.embedding // 2, dtype=ratio.dtype, device=ratio.device)
        angles = place[:, None] * (turns / 4 + 0.5) * math.pi
        return torch.cat([angles.sin(), angles.cos()], dim=1)


def save(path: Path, network: DiffusionDenoiser, card: Mapping[str, Any]) -> None:
    """Write the weights as safetensors of 16 bits, with the sizes and ``card`` in the header."""
    header = {"architecture": KIND, "config": asdict(network.config), "card": dict(card)}
    weights.write(path, network, header, half=True)


def load(path: Path) -> DiffusionDenoiser:
    """Read a file that :func:`save` wrote, in eval mode with frozen weights.

    Raises:
        WeightsError: the file is missing or cut short, or is not of this network.
    """
    header = weights.read_header(path)
    if (kind := header.get("architecture")) != KIND:
        raise WeightsError(
            f"{path}: holds a network of the kind {kind!r}, not {KIND!r}; "
            "`melmoat train diffusion` writes such weights"
        )
    try:
        network = DiffusionDenoiser(DiffusionConfig(**header["config"]))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(f"{path}: not a denoiser of this melmoat ({error!r})") from error
    weights.fill(network, weights.read(path), str(path))
    network.card = header.get("card", {})
    return network

"""What a vocoder is, and what reading published ones has in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat.devices import beside
from melmoat.draws import Draws
from melmoat.vocoders.mel import MelSpec, extend

CHUNK = 4096  # frames made at a time where no gradient is asked for


class Vocoder(nn.Module):
    """Turns a mel spectrogram into a waveform.

    Attributes:
        config: the network's sizes, a frozen dataclass.
        mel: the log-mel spectrogram it was trained on.
        hop: samples a frame.
        reach: frames before and after that a frame's samples depend on, at most; None for the
            whole utterance.
        noisy: whether :meth:`forward` takes a noise input, so that it is stochastic by itself.
        card: what its weights come from, as far as is known.
    """

    config: Any
    mel: MelSpec
    hop: int
    reach: int | None
    noisy: bool = False

    def __init__(self, mel: MelSpec, hop: int, reach: int | None) -> None:
        super().__init__()
        if hop != mel.hop:
            raise ValueError(f"the network makes {hop} samples a frame, its mel has {mel.hop}")
        self.mel, self.hop, self.reach = mel, hop, reach
        self.card: Mapping[str, Any] = {}

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        """Waveform of a mel spectrogram.

        Args:
            mel: ``[B, bands, F]``, in the scale this vocoder was trained on.
            noise: standard normal where the vocoder is ``noisy``. Shape: ``[B, 1, F * hop]``.

        Shape: ``[B, F * hop]``.
        """
        raise NotImplementedError


def synthesise(vocoder: Vocoder, mel: Tensor, frames: Tensor, draws: Draws) -> Tensor:
    """Waveforms of a ragged batch of log-mel spectrograms, each as if it were alone.

    Every utterance's last frame is repeated for as long as the network sees ahead, so that nothing
    it hears there depends on the batch.

    Args:
        mel: as :class:`MelSpec` gives it, without normalisation. Shape: ``[B, bands, F]``.
        frames: frames of each utterance. Shape: ``[B]``.
        draws: where the noise of a ``noisy`` vocoder comes from.

    Shape: ``[B, F * hop]``. Samples beyond ``frames * hop`` are not meaningful.
    """
    mel = beside(vocoder, mel).mel.normalise(mel)
    total = mel.shape[-1] * vocoder.hop
    noise = None
    if vocoder.reach is None:
        if vocoder.noisy:
            noise = draws.normal(mel.new_zeros(len(mel), 1, total))
        waves = []
        for i, count in enumerate(frames.tolist()):
            samples = count * vocoder.hop
            own_noise = None if noise is None else noise[i : i + 1, :, :samples]
            wave = vocoder(mel[i : i + 1, :, :count], own_noise)[0]
            waves.append(F.pad(wave, (0, total - samples)))
        return torch.stack(waves)
    mel = extend(mel, frames, vocoder.reach)
    if vocoder.noisy:
        noise = draws.normal(mel.new_zeros(len(mel), 1, mel.shape[-1] * vocoder.hop))
    if _wants_gradient(vocoder, mel) or mel.shape[-1] <= CHUNK:
        extended: Tensor = vocoder(mel, noise)
        return extended[:, :total]
    return torch.cat(list(_chunks(vocoder, mel, noise, vocoder.reach)), dim=1)[:, :total]


def _wants_gradient(vocoder: Vocoder, mel: Tensor) -> bool:
    wanted = mel.requires_grad or any(weight.requires_grad for weight in vocoder.parameters())
    return wanted and torch.is_grad_enabled()


def _chunks(vocoder: Vocoder, mel: Tensor, noise: Tensor | None, reach: int) -> Iterator[Tensor]:
    """The waveform piece by piece, each with all that the network sees: memory for hours of audio.

    Yields ``[B, pieces * hop]``; the pieces together are the whole, to float rounding.
    """
    hop, end = vocoder.hop, mel.shape[-1]
    for begin in range(0, end, CHUNK):
        first, last = max(0, begin - reach), min(end, begin + CHUNK + reach)
        part_noise = None if noise is None else noise[..., first * hop : last * hop]
        wave: Tensor = vocoder(mel[..., first:last], part_noise)
        yield wave[:, (begin - first) * hop : (begin - first + CHUNK) * hop]


# How PyTorch names the gains and the directions: ``weight_norm`` of ``nn.utils`` and, since 2.0, of
# ``nn.utils.parametrizations``.
WEIGHT_NORMS = {
    "weight_g": "weight_v",
    "parametrizations.weight.original0": "parametrizations.weight.original1",
}


def fold_weight_norm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Replace each pair of gains ``g`` and directions ``v`` by the weight it stands for,
    ``g * v / ||v||``; plain weights stay.

    The norm is over all but the axis that the gains lie along: the first by PyTorch's default, for
    transposed convolutions too (Salimans & Kingma 2016 as PyTorch applies it, and by its own
    operator, so to the last bit). Frozen networks then run without recomputing it.

    Raises:
        KeyError: gains without directions.
        ValueError: gains that lie along no axis.
    """
    folded = dict(state)
    for gains, directions in WEIGHT_NORMS.items():
        for key in [key for key in state if key.endswith(gains)]:
            stem = key.removesuffix(gains)
            g, v = folded.pop(key), folded[stem + directions]
            del folded[stem + directions]
            folded[f"{stem}weight"] = torch._weight_norm(v, g, _axis(key, g, v))
    return folded


def _axis(key: str, g: Tensor, v: Tensor) -> int:
    for axis in range(v.dim()):
        if list(g.shape) == [n if i == axis else 1 for i, n in enumerate(v.shape)]:
            return axis
    raise ValueError(f"{key} is {list(g.shape)}, which are no gains of weights {list(v.shape)}")


def bare(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """A network's weights by their own names: what holds it (DataParallel) goes.

    Raises:
        TypeError: other things than tensors.
    """
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise TypeError("its state holds other things than tensors")
    outer = "module."
    held = bool(state) and all(key.startswith(outer) for key in state)
    return {key.removeprefix(outer) if held else key: value for key, value in state.items()}

"""The mel spectrogram that a vocoder was trained on, as part of the vocoder.

Most trouble with vocoders is a mel spectrogram other than the one they know: another log, floor,
band edge, framing or normalisation. So all of it is one frozen object that is saved with the
weights, and nothing computes a vocoder's input but this.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.audio import Audio
from melmoat.spectral import frame_mask, magnitude, mel_basis, reflect_pad


@dataclass(frozen=True)
class MelSpec:
    """How a waveform becomes the log-mel spectrogram of one vocoder.

    The magnitude (not power) spectrum under a periodic Hann window passes Slaney's mel filters and
    a logarithm. Frame ``f`` stands for samples ``f * hop`` to ``(f + 1) * hop``.

    Args:
        rate: sampling rate in Hz.
        n_fft: transform length in samples.
        hop: samples a frame.
        win: window length in samples, centred in the transform.
        bands: mel bands.
        fmin, fmax: band edges in Hz.
        log: base of the logarithm, ``10`` or ``e``.
        floor: smallest mel magnitude before the logarithm.
        centred: whether a frame's window is centred on its first sample (librosa's ``center``,
            Parallel WaveGAN) or on its middle (MelGAN, HiFi-GAN).
        mean, scale: statistics of each band; the network sees ``(mel - mean) / scale``.
    """

    rate: int = 22_050
    n_fft: int = 1024
    hop: int = 256
    win: int = 1024
    bands: int = 80
    fmin: float = 0.0
    fmax: float = 11_025.0
    log: Literal["10", "e"] = "10"
    floor: float = 1e-5
    centred: bool = False
    mean: tuple[float, ...] | None = None
    scale: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.hop <= self.win <= self.n_fft:
            raise ValueError(
                f"mel: 0 < hop <= win <= n_fft is needed, got {self.hop}, {self.win}, {self.n_fft}"
            )
        if not 0 <= self.fmin < self.fmax <= self.rate / 2:
            raise ValueError(f"mel: band edges {self.fmin}..{self.fmax} Hz at {self.rate} Hz")
        if self.floor <= 0 or self.log not in ("10", "e"):
            raise ValueError(f"mel: floor {self.floor} (above 0), log {self.log!r} (10 or e)")
        for name in ("mean", "scale"):
            values = getattr(self, name)
            if values is not None and len(values) != self.bands:
                raise ValueError(f"mel: {len(values)} values of {name} for {self.bands} bands")

    @property
    def shortest(self) -> int:
        """Fewest samples of an utterance that can be reflected at its ends."""
        return 1 + (self.n_fft // 2 if self.centred else (self.n_fft - self.hop) // 2 + self.hop)

    @property
    def before(self) -> int:
        """Samples of the first frame's window before the first sample of an utterance."""
        return self.shortest - 1 - (0 if self.centred else self.hop)

    def frames(self, lengths: Tensor) -> Tensor:
        """Frames of utterances of ``lengths`` samples: enough to cover every sample."""
        if self.centred:
            return 1 + lengths // self.hop
        return (lengths + self.hop - 1) // self.hop

    def __call__(self, audio: Audio) -> tuple[Tensor, Tensor]:
        """Log-mel spectrogram of a ragged batch, each utterance reflected at its own ends.

        Differentiable; at silence the gradient is zero.

        Returns:
            ``[B, bands, F]`` without normalisation (see :meth:`normalise`), and frames ``[B]``.
            Frames beyond an utterance's own are not meaningful.

        Raises:
            AudioError: an utterance is shorter than :attr:`shortest`.
            ValueError: another rate.
        """
        if audio.rate != self.rate:
            raise ValueError(f"this vocoder hears {self.rate} Hz, got {audio.rate} Hz")
        pad = self.shortest - 1
        padded = reflect_pad(audio, pad)[:, pad - self.before :]
        frames = self.frames(audio.lengths)
        return self.framed(padded, int(frames.max())), frames

    def framed(self, padded: Tensor, frames: int) -> Tensor:
        """Log-mel of the first frames of samples that have been padded, frame ``f`` from sample
        ``f * hop`` on. Shape: ``[B, P]``, with ``P`` at least ``n_fft + (frames - 1) * hop`` ->
        ``[B, bands, frames]``."""
        window = _window(self.n_fft, self.win, padded)
        spectrum = torch.stft(
            padded, self.n_fft, self.hop, window=window, center=False, return_complex=True
        )
        # Where the logarithm's floor is low, the root's must not be above it.
        amplitude = magnitude(spectrum[..., :frames], min(1e-10, self.floor**2))
        return self.log_mel(amplitude)

    def log_mel(self, amplitude: Tensor) -> Tensor:
        """Log-mel of a magnitude spectrum. Shape: ``[B, bins, F]`` -> ``[B, bands, F]``."""
        basis = mel_basis(self.rate, self.n_fft, self.bands, self.fmin, self.fmax).to(amplitude)
        mel = F.linear(amplitude.mT, basis).mT.clamp(min=self.floor)
        return torch.log10(mel) if self.log == "10" else torch.log(mel)

    def normalise(self, mel: Tensor) -> Tensor:
        """A log-mel spectrogram in the scale that the network knows. Same shape."""
        if self.mean is None or self.scale is None:
            return mel
        mean, scale = mel.new_tensor(self.mean), mel.new_tensor(self.scale)
        return (mel - mean[:, None]) / scale[:, None]


# The spectrogram of the vocoders trained here: MelGAN's resolution in time and frequency, brought
# from 22 050 Hz to the 16 kHz that recognizers hear.
LAB_MEL = MelSpec(rate=16_000, n_fft=768, hop=192, win=768, fmax=8_000.0)


def extend(mel: Tensor, frames: Tensor, by: int) -> Tensor:
    """Repeat each utterance's last frame through its padding and ``by`` frames beyond the batch.

    A network that sees fewer than ``by`` frames ahead then makes of an utterance the same alone and
    in any batch. Shape: ``[B, bands, F]``, frames ``[B]`` -> ``[B, bands, F + by]``.
    """
    total = mel.shape[-1] + by
    inside = frame_mask(frames, total)[:, None]
    last = mel.gather(2, (frames - 1)[:, None, None].expand(-1, mel.shape[1], 1))
    return torch.where(inside, F.pad(mel, (0, by)), last)


def _window(n_fft: int, win: int, like: Tensor) -> Tensor:
    left = (n_fft - win) // 2
    hann = torch.hann_window(win, dtype=like.dtype, device=like.device)
    return F.pad(hann, (left, n_fft - win - left))

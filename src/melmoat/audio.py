"""A right-padded mono batch of audio, and its files.

All audio functions of melmoat take and return :class:`Audio`. Files are read with
:mod:`melmoat.decoding` and soxr (rate conversion), at a level that 16 bits can hold. Audio that is
not usable as speech is refused here, with a reason, before it reaches a model.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from melmoat import decoding, files
from melmoat.decoding import AudioError as AudioError  # also this module's own
from melmoat.decoding import Channel, Decoded
from melmoat.devices import CPU, full_precision

RATE = 16_000
PCM16 = 32_768  # quantisation steps per unit of amplitude in a 16-bit file
LOUDEST = 100.0  # no recording is 40 dB over full scale, except integers stored as floats
KEPT = 50.0  # least SNR of rounding to 16 bits, dB: 10 more than the SNR of the weakest attack
FAINTEST = 2.0**12  # largest gain for a quiet recording; fainter signals are noise


class AudioWarning(UserWarning):
    """A warning about a recording that was read or written."""


@dataclass(frozen=True)
class Audio:
    """A right-padded mono batch.

    Attributes:
        wav: samples, full scale 1.0, zero beyond each length. Shape: ``[B, T]``.
        lengths: true number of samples of each utterance. Shape: ``[B]``, int64.
        rate: sampling rate in Hz.

    >>> batch = Audio.of([torch.ones(3), torch.ones(5)])
    >>> batch.wav.shape, batch.lengths.tolist()
    (torch.Size([2, 5]), [3, 5])
    """

    wav: Tensor
    lengths: Tensor
    rate: int = RATE

    def __post_init__(self) -> None:
        if self.wav.dim() != 2 or self.lengths.shape != self.wav.shape[:1]:
            raise ValueError(
                f"Audio takes wav [B, T] and lengths [B]; got {tuple(self.wav.shape)} and "
                f"{tuple(self.lengths.shape)}. Audio.of([wave, ...]) pads single waves."
            )
        if not self.wav.is_floating_point():
            raise ValueError(
                f"Audio takes floats with a full scale of 1, got {self.wav.dtype}; divide integers "
                "by their full scale (32768 for 16 bits)"
            )
        if self.wav.device != self.lengths.device:
            raise ValueError(f"wav on {self.wav.device} and lengths on {self.lengths.device}")
        if not len(self.lengths):
            return
        shortest, longest = torch.stack(self.lengths.aminmax()).tolist()  # one wait for a device
        if shortest < 1:
            raise AudioError("an utterance has no samples; leave it out")
        if longest > self.wav.shape[1]:
            raise ValueError(f"lengths up to {longest} in a batch of {self.wav.shape[1]} samples")

    @classmethod
    def of(cls, waves: Sequence[Tensor], rate: int = RATE) -> Audio:
        """Pad 1-D ``waves`` on the right into one batch."""
        if not waves:
            raise ValueError("Audio.of needs at least one wave")
        lengths = torch.tensor([len(wave) for wave in waves], device=waves[0].device)
        return cls(torch.nn.utils.rnn.pad_sequence(list(waves), batch_first=True), lengths, rate)

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[Tensor]:
        """Yield each utterance without its padding. Shape: ``[L_i]``."""
        for row, length in zip(self.wav, self.lengths.tolist(), strict=True):
            yield row[:length]

    @property
    def mask(self) -> Tensor:
        """True inside each utterance. Shape: ``[B, T]``, bool."""
        return torch.arange(self.wav.shape[1], device=self.wav.device) < self.lengths[:, None]

    @property
    def seconds(self) -> Tensor:
        """Duration of each utterance in seconds. Shape: ``[B]``."""
        return self.lengths / self.rate

    @property
    def centred(self) -> Tensor:
        """The samples without each utterance's mean, which is not audible. Shape: ``[B, T]``.

        Every signal-to-noise ratio, budget and level uses these samples (:mod:`melmoat.levels`).
        The mean is computed over the true length in double precision, so a constant becomes exactly
        zero.
        """
        mean = self.wav.double().sum(1).div(self.lengths).to(self.wav.dtype)
        return (self.wav - mean[:, None]) * self.mask

    @property
    def rms(self) -> Tensor:
        """Root mean square of each utterance without its mean. Its gradient at silence is 0.
        Shape: ``[B]``."""
        return self.centred.square().sum(1).div(self.lengths).clamp(min=1e-30).sqrt()

    def with_wav(self, wav: Tensor) -> Audio:
        """The same utterances with other samples; the padding is zeroed."""
        return replace(self, wav=wav * self.mask)

    def copy(self) -> Audio:
        """The same batch in memory of its own, for code that may write to it."""
        return replace(self, wav=self.wav.clone())

    def repeat(self, times: int) -> Audio:
        """The whole batch ``times`` times, copy after copy. Shape: ``[times * B, T]``."""
        return Audio(self.wav.repeat(times, 1), self.lengths.repeat(times), self.rate)

    def pick(self, rows: Sequence[int]) -> Audio:
        """Some of the utterances, with no more padding than they need."""
        lengths = self.lengths[list(rows)]
        return Audio(self.wav[list(rows), : int(lengths.max())], lengths, self.rate)

    def to(self, device: str | torch.device) -> Audio:
        """The same batch on another device. Models follow it, in full single precision
        (:func:`melmoat.devices.full_precision`)."""
        if torch.device(device).type != CPU:
            full_precision()
        return replace(self, wav=self.wav.to(device), lengths=self.lengths.to(device))

    def save(self, path: str | os.PathLike[str], gain: float = 1.0) -> None:
        """Write the one utterance of this batch to a file; see :func:`save`."""
        save(path, self, gain)

    def quantized(self) -> Audio:
        """The samples rounded to those of a 16-bit file: multiples of 1/32768 in [-1, 1 -
        1/32768]."""
        steps = torch.round(self.wav * PCM16).clamp(-PCM16, PCM16 - 1)
        return replace(self, wav=steps / PCM16)

    @property
    def int16(self) -> Tensor:
        """The samples of a 16-bit file, as :meth:`quantized` rounds them. Shape: ``[B, T]``."""
        return (self.quantized().wav * PCM16).to(torch.int16)


def check_db(name: str, value: float) -> None:
    """Raise ValueError for a signal-to-noise ratio that is not finite or is far too low."""
    if not -100 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of dB, at least -100; got {value}")


def check(
    wave: Tensor,
    name: str,
    shortest: int = 2,
    finite: str = "re-export the recording",
    scaled: str = "and export again",
) -> Tensor:
    """Return the 1-D ``wave``, or raise :class:`AudioError` if it cannot be speech.

    Args:
        finite: what to do about NaN.
        scaled: what to do once integers have been divided by their full scale.
    """
    if len(wave) < shortest:
        raise AudioError(f"{name}: {len(wave)} sample(s), which is not a recording of speech")
    if not torch.isfinite(wave).all():
        raise AudioError(f"{name}: contains NaN or Inf; {finite}")
    if (peak := float(wave.abs().max())) > LOUDEST:
        raise AudioError(
            f"{name}: samples reach {peak:.3g} where full scale is 1; if they are integers kept as "
            f"floats, divide them by their full scale (32768 for 16 bits) {scaled}"
        )
    return wave


@dataclass(frozen=True)
class Recording:
    """A file that was read.

    Args:
        audio: a batch of one.
        gain: factor on its samples, a power of two, so that 16 bits can hold them; :func:`save`
            undoes it. 1 for mono 16-bit files of the rate that was asked for, and for others of a
            usual level.
    """

    audio: Audio
    gain: float = 1.0


def read(path: str | os.PathLike[str], rate: int = RATE, channel: Channel = "mix") -> Recording:
    """Read one file: its channels mixed or one of them, resampled (soxr, very high quality).

    The results of attacks and defenses are judged and written with 16 bits. A recording with more
    bits may be far too quiet or too loud for 16 bits. It is then scaled to full scale, for every
    use.

    Args:
        rate: rate of the result, Hz.
        channel: ``mix`` is the mean of all; 0 is the first.

    Raises:
        AudioError: the file is missing, empty, cut short, damaged or not audio; or it has fewer
            than two samples, NaN, Inf or values far over full scale.

    Warns:
        AudioWarning: its channels cancel or differ, or a part of the file is not audio.
    """
    name = os.fspath(path)
    if Path(path).is_dir():
        raise AudioError(f"{name}: a folder, not a recording")
    if not Path(path).is_file():
        raise AudioError(f"{name}: no such file")
    decoded = decoding.decode(path, name, channel=channel)
    for note in decoded.notes:
        warnings.warn(f"{name}: {note}", AudioWarning, stacklevel=2)
    return usable(decoded, name, rate)


def load(path: str | os.PathLike[str], rate: int = RATE, channel: Channel = "mix") -> Audio:
    """The audio of one file as a batch of one; see :func:`read`."""
    return read(path, rate, channel).audio


def usable(decoded: Decoded, name: str, rate: int = RATE) -> Recording:
    """The decoded audio at ``rate`` Hz and at a level that 16 bits can hold.

    Raises:
        AudioError: it cannot be speech; ``name`` is its name in the error.
    """
    mono = decoded.samples
    check(torch.from_numpy(mono), name)
    if decoded.rate != rate:
        mono = soxr.resample(mono, decoded.rate, rate, quality="VHQ")
    return held_by_16_bits(torch.from_numpy(np.ascontiguousarray(mono)), name, rate)


def held_by_16_bits(wave: Tensor, name: str, rate: int = RATE) -> Recording:
    """The samples at a level that 16 bits can hold: see :func:`read`. Shape of ``wave``: ``[T]``.

    Raises:
        AudioError: as for :func:`usable`.
    """
    gain = _gain(wave.numpy(), name)
    return Recording(Audio.of([check(wave if gain == 1 else wave * gain, name)], rate), gain)


def _gain(wave: NDArray[np.float32], name: str) -> float:
    """1 if rounding and clipping ``wave`` to 16 bits leaves an SNR of at least ``KEPT`` dB;
    otherwise the power of two that brings its peak to between a half and one.

    Raises:
        AudioError: this is not enough, for example for faint speech on a large offset.
    """
    if not len(wave) or float(np.ptp(wave)) * PCM16 < 1 or _fits(wave):  # less than a step: silence
        return 1.0
    peak = float(np.abs(wave).max())
    gain = min(2.0 ** -math.ceil(math.log2(peak)), FAINTEST)
    for tried in (gain, gain / 2):  # a half, where the peak is just full scale
        if gain == FAINTEST or _fits(wave * np.float32(tried)):
            return tried
    raise AudioError(
        f"{name}: 16 bits cannot hold both its speech and its offset of {float(wave.mean()):+.2g} "
        "of full scale; take the offset off (sox IN OUT highpass 20)"
    )


def _fits(wave: NDArray[np.float32]) -> bool:
    exact = wave.astype(np.float64)
    error = exact - np.clip(np.round(exact * PCM16), -PCM16, PCM16 - 1) / PCM16
    return float(np.square(error).sum()) * 10 ** (KEPT / 10) <= float(exact.var() * len(exact))


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise :class:`AudioError` if no audio can be written to ``path``, before work is spent."""
    target = Path(path)
    if target.suffix.lower() not in (".wav", ".flac"):
        raise AudioError(f"{target}: cannot write this format; name it .wav or .flac")
    if not target.parent.is_dir():
        raise AudioError(f"{target}: cannot write, the folder {target.parent} does not exist")


def save(path: str | os.PathLike[str], audio: Audio, gain: float = 1.0) -> None:
    """Write the first (and only) utterance of ``audio`` as mono; the suffix is the format.

    Samples are rounded to 16 bits as :meth:`Audio.quantized` does, so what is judged is what is
    written. A file that was there is kept until all is written.

    Args:
        gain: gain of the source :class:`Recording`, which is undone: a WAV file then has floats, a
            FLAC file 24 bits.

    Warns:
        AudioWarning: a FLAC file cannot hold this level.
    """
    check_target(path)
    kind = Path(path).suffix.lower().removeprefix(".")
    samples, coding = _samples(audio, kind, gain)
    try:
        with files.replacing(Path(path)) as partial:
            soundfile.write(partial, samples, audio.rate, subtype=coding, format=kind)
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(
            f"{os.fspath(path)}: cannot write ({error}); is the disk full or the folder read-only?"
        ) from error
    if (left := kept_gain(kind, gain)) != 1:
        warnings.warn(
            f"{os.fspath(path)}: written {abs(20 * math.log10(left)):.0f} dB "
            f"{'louder' if left > 1 else 'quieter'} than its source, whose level FLAC cannot hold; "
            "name it .wav to keep that",
            AudioWarning,
            stacklevel=2,
        )


def encode(audio: Audio, kind: str, gain: float = 1.0) -> bytes:
    """The bytes that :func:`save` would write for the suffix ``kind``, ``wav`` or ``flac``."""
    file = BytesIO()
    samples, coding = _samples(audio, kind, gain)
    soundfile.write(file, samples, audio.rate, subtype=coding, format=kind)
    return file.getvalue()


def kept_gain(kind: str, gain: float) -> float:
    """The part of ``gain`` that a file of the suffix ``kind`` cannot undo; 1 if it can undo all.

    A WAV file can hold any level. A FLAC file cannot exceed full scale, and has 8 bits below 16.
    """
    return 1.0 if kind != "flac" else max(gain / 2**8, 1.0) if gain >= 1 else gain


def _samples(audio: Audio, kind: str, gain: float) -> tuple[NDArray[Any], str]:
    """Samples with ``gain`` undone as far as possible, and their coding."""
    if len(audio) != 1:
        raise ValueError(f"a file holds one utterance; got a batch of {len(audio)}")
    steps: NDArray[np.int16] = audio.int16[0, : int(audio.lengths[0])].detach().cpu().numpy()
    undone = gain / kept_gain(kind, gain)
    if undone == 1:
        return steps, "PCM_16"
    if kind == "flac":  # libsndfile takes the upper 24 of 32 bits
        return steps.astype(np.int32) * int(2**16 / undone), "PCM_24"
    return (steps / (PCM16 * undone)).astype(np.float32), "FLOAT"

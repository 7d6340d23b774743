"""A right-padded mono batch of audio, and its files.

Everything in melmoat that touches sound takes and returns :class:`Audio`. Files come in through
soundfile (libsndfile: wav, flac, ogg, mp3 and more) and soxr (rate conversion), and anything that
is not usable speech is refused here, with a reason, before it reaches a model.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
import torch
from numpy.typing import NDArray
from torch import Tensor

from melmoat.devices import CPU, full_precision
from melmoat.errors import MelmoatError

RATE = 16_000
PCM16 = 32_768  # quantisation steps per unit of amplitude in a 16-bit file
FASTEST = 768_000  # Hz; a file of more has a wrong header
UNKNOWN = 2**62  # frames that libsndfile reports where a header does not say
BLOCK = 2**20  # samples that are decoded at once, all channels together
LOUDEST = 100.0  # no recording is 40 dB over full scale; one of integers kept as floats is


# libsndfile's log on a wav whose data chunk is longer than the file. A size of 2**32 - 1 is what
# programs write that stream a wav and do not know its length; such a file is whole.
_CUT_SHORT = re.compile(r"data : (?!4294967295)\d+ \(should be")


class AudioError(MelmoatError):
    """A file or signal that cannot be used as speech; the message says why and what to do."""


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
        if self.wav.device != self.lengths.device:
            raise ValueError(f"wav on {self.wav.device} and lengths on {self.lengths.device}")
        if not len(self.lengths):
            return
        shortest, longest = torch.stack(self.lengths.aminmax()).tolist()  # one wait for a device
        if shortest < 1:
            raise AudioError("an utterance without samples is no audio; leave it out")
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
        """The samples without each utterance's mean, which nobody hears. Shape: ``[B, T]``.

        Every signal-to-noise ratio, budget and level is of these (:mod:`melmoat.levels`). The mean
        is over the true length, in double precision: of a constant nothing at all is left.
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

    def repeat(self, times: int) -> Audio:
        """The whole batch ``times`` over, copy after copy. Shape: ``[times * B, T]``."""
        return Audio(self.wav.repeat(times, 1), self.lengths.repeat(times), self.rate)

    def pick(self, rows: Sequence[int]) -> Audio:
        """Some of the utterances, without the padding that only the others needed."""
        lengths = self.lengths[list(rows)]
        return Audio(self.wav[list(rows), : int(lengths.max())], lengths, self.rate)

    def to(self, device: str | torch.device) -> Audio:
        """The same batch on another device, and so whatever hears it, in whole single precision
        (:func:`melmoat.devices.full_precision`)."""
        if torch.device(device).type != CPU:
            full_precision()
        return replace(self, wav=self.wav.to(device), lengths=self.lengths.to(device))

    def quantized(self) -> Audio:
        """Rounded to what a 16-bit file holds: multiples of 1/32768 in [-1, 1 - 1/32768]."""
        steps = torch.round(self.wav * PCM16).clamp(-PCM16, PCM16 - 1)
        return replace(self, wav=steps / PCM16)

    @property
    def int16(self) -> Tensor:
        """The samples of a 16-bit file, as :meth:`quantized` rounds them. Shape: ``[B, T]``."""
        return (self.quantized().wav * PCM16).to(torch.int16)


def check_db(name: str, value: float) -> None:
    """Raise ValueError for a signal-to-noise ratio that is no number or drowns any signal."""
    if not -100 <= value < math.inf:
        raise ValueError(f"{name} must be a finite number of dB, at least -100; got {value}")


def check(wave: Tensor, name: str) -> Tensor:
    """Return the 1-D ``wave``, or raise :class:`AudioError` if it cannot be speech."""
    if len(wave) < 2:
        raise AudioError(f"{name}: {len(wave)} sample(s), which is not a recording of speech")
    if not torch.isfinite(wave).all():
        raise AudioError(f"{name}: contains NaN or Inf; re-export the recording")
    if (peak := float(wave.abs().max())) > LOUDEST:
        raise AudioError(
            f"{name}: samples reach {peak:.3g} where full scale is 1; if they are integers kept as "
            "floats, divide them by their full scale (32768 for 16 bits) and export again"
        )
    return wave


def load(path: str | os.PathLike[str], rate: int = RATE) -> Audio:
    """Read one file as a batch of one: channels averaged, resampled (soxr, very high quality).

    Raises:
        AudioError: missing, empty, truncated or non-audio file; fewer than two samples; NaN,
            Inf or far over full scale. A truncated ogg or mp3 cannot be told from a short one.
    """
    name = os.fspath(path)
    if Path(path).is_dir():
        raise AudioError(f"{name}: a folder, not a recording")
    if not Path(path).is_file():
        raise AudioError(f"{name}: no such file")
    if Path(path).stat().st_size == 0:
        raise AudioError(f"{name}: the file is empty (0 bytes)")
    return decode(path, name, rate)


def decode(
    source: str | os.PathLike[str] | BinaryIO,
    name: str,
    rate: int = RATE,
    longest: float = math.inf,
) -> Audio:
    """As :func:`load`, also of an open file.

    Args:
        name: what errors call it.
        longest: seconds; a longer recording is refused before it is decoded.
    """
    try:
        with soundfile.SoundFile(source) as file:
            promised, found_rate = file.frames, file.samplerate
            if found_rate > FASTEST:
                raise AudioError(f"{name}: {found_rate} samples a second, which no recording has")
            truncated = bool(_CUT_SHORT.search(file.extra_info))
            mono = _mixed(file, name, longest)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: headerless .raw
        reason = getattr(error, "error_string", error)
        raise AudioError(
            f"{name}: not readable as audio ({reason}); "
            "wav, flac, ogg and mp3 work, other formats need converting first"
        ) from error
    if truncated or len(mono) < promised:
        raise AudioError(f"{name}: the file is cut short; copy it again from its source")
    check(torch.from_numpy(mono), name)
    if found_rate != rate:
        mono = soxr.resample(mono, found_rate, rate, quality="VHQ")
    return Audio.of([check(torch.from_numpy(np.ascontiguousarray(mono)), name)], rate)


def _mixed(file: soundfile.SoundFile, name: str, longest: float) -> NDArray[np.float32]:
    """The mean of the channels, read in blocks: a small file may hold many channels of silence."""
    if file.frames >= UNKNOWN:
        raise AudioError(
            f"{name}: its header does not say how long it is, as an encoder leaves it that writes "
            "into a pipe; convert the file once more"
        )
    parts, got = [np.zeros(0, np.float32)], 0
    while max(got, file.frames) <= longest * file.samplerate:
        block = file.read(max(1, BLOCK // file.channels), dtype="float32", always_2d=True)
        if not len(block):
            return np.concatenate(parts)
        parts.append(block.mean(axis=1))
        got += len(block)
    raise AudioError(
        f"{name}: {max(got, file.frames) / file.samplerate:.1f} s of audio, of which {longest:g} s "
        "are taken at most; cut it at pauses"
    )


def check_target(path: str | os.PathLike[str]) -> None:
    """Raise :class:`AudioError` if no audio can be written to ``path``, before work is spent."""
    target = Path(path)
    if target.suffix.lower() not in (".wav", ".flac"):
        raise AudioError(f"{target}: cannot write this format; name it .wav or .flac")
    if not target.parent.is_dir():
        raise AudioError(f"{target}: cannot write, the folder {target.parent} does not exist")


def save(path: str | os.PathLike[str], audio: Audio) -> None:
    """Write the first (and only) utterance of ``audio`` as 16-bit mono; the suffix is the format.

    Samples are rounded as :meth:`Audio.quantized` does, so what is judged is what is written.
    """
    steps = _steps(audio)
    check_target(path)
    try:
        soundfile.write(path, steps, audio.rate, subtype="PCM_16")
    except (soundfile.LibsndfileError, OSError) as error:
        raise AudioError(
            f"{os.fspath(path)}: cannot write ({error}); is the disk full or the folder read-only?"
        ) from error


def encode(audio: Audio, kind: str) -> bytes:
    """What :func:`save` would write into a file of the suffix ``kind``, ``wav`` or ``flac``."""
    file = BytesIO()
    soundfile.write(file, _steps(audio), audio.rate, subtype="PCM_16", format=kind)
    return file.getvalue()


def _steps(audio: Audio) -> NDArray[np.int16]:
    if len(audio) != 1:
        raise ValueError(f"a file holds one utterance; got a batch of {len(audio)}")
    steps: NDArray[np.int16] = audio.int16[0, : int(audio.lengths[0])].detach().cpu().numpy()
    return steps

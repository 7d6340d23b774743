"""The audio of cuts."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import soxr
import torch
from lhotse import MonoCut
from torch import Tensor

from melmoat import audio, decoding, files
from melmoat.audio import RATE, Audio, AudioError, AudioWarning, Recording
from melmoat.data.entries import CHANGES, CHANNEL, IN_FILE, fault, written
from melmoat.decoding import Channel, Decoded


def recording(cut: MonoCut, rate: int = RATE) -> Recording:
    """The audio of ``cut``, read by :func:`melmoat.audio.read`: its file, or its part of the file.

    Raises:
        AudioError: as there; the message names the utterance.
    """
    if reason := fault(cut):
        raise AudioError(f"{cut.id}: {reason}")
    channel: Channel = (cut.custom or {}).get(CHANNEL, "mix")
    path = cut.recording.sources[0].source
    seconds = (cut.custom or {}).get(IN_FILE, cut.duration)
    try:
        if not cut.start and seconds == cut.recording.duration:
            found = audio.read(path, rate, channel)
        else:
            found = _part(path, cut.start, seconds, rate, channel)
    except AudioError as error:
        raise AudioError(f"{cut.id}: {error}") from error
    changes: tuple[Change, ...] = (cut.custom or {}).get(CHANGES, ())
    if not changes:
        return found
    wave = found.audio.wav[0]
    for change in changes:
        wave = change(wave, rate)
    if wave.abs().max() <= 1:
        return replace(found, audio=Audio.of([wave], rate))
    held = audio.held_by_16_bits(wave, cut.id, rate)
    return replace(held, gain=found.gain * held.gain)


def fingerprint(cut: MonoCut) -> str | None:
    """16 hex digits of what is heard and said in ``cut``: the bytes of its file, its part and
    channel, and its text. None if it has no file of its own."""
    source = cut.recording.sources[0] if cut.has_recording else None
    if source is None or source.type != "file":
        return None
    try:
        stat = Path(source.source).stat()
        content = _content(source.source, stat.st_mtime_ns, stat.st_size)
    except OSError:
        return None
    custom = cut.custom or {}
    seconds = custom.get(IN_FILE, cut.duration)
    part = [round(cut.start, 3), round(seconds, 3), custom.get(CHANNEL, "mix")]
    told = json.dumps([content, *part, written(cut)])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


@lru_cache(maxsize=4096)
def _content(path: str, modified: int, size: int) -> str:
    return files.digest(Path(path))


class Change(Protocol):
    """What a corpus does to the audio of another one."""

    def seconds(self, duration: float) -> float:
        """The length of audio that has had ``duration`` seconds."""

    def __call__(self, wave: Tensor, rate: int) -> Tensor:
        """Shape: ``[T]`` -> ``[T']``."""


@dataclass(frozen=True)
class Surrounded:
    """Seconds of digital silence before and after the audio."""

    before: float
    after: float

    def seconds(self, duration: float) -> float:
        """With the silence."""
        return self.before + duration + self.after

    def __call__(self, wave: Tensor, rate: int) -> Tensor:
        """Shape: ``[T]`` -> ``[T']``."""
        sizes = round(self.before * rate), round(self.after * rate)
        return torch.nn.functional.pad(wave, sizes)


@dataclass(frozen=True)
class Altered:
    """Another level (``gain_db``), and another rate of speech (``speed``; pitch moves with it)."""

    gain_db: float
    speed: float

    def seconds(self, duration: float) -> float:
        """Shorter if it is faster."""
        return duration / self.speed

    def __call__(self, wave: Tensor, rate: int) -> Tensor:
        """Shape: ``[T]`` -> ``[T']``."""
        if self.speed != 1:
            faster = soxr.resample(wave.numpy(), rate * self.speed, rate, quality="HQ")
            wave = torch.from_numpy(faster)
        return wave * 10 ** (self.gain_db / 20)


def read(cuts: Iterable[MonoCut], rate: int = RATE) -> Audio:
    """The audio of ``cuts`` as one batch; see :func:`recording`."""
    return Audio.of([recording(cut, rate).audio.wav[0] for cut in cuts], rate)


def _part(path: str, start: float, seconds: float, rate: int, channel: Channel) -> Recording:
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise AudioError(f"{path}: cannot be read ({error.strerror or error})") from error
    decoded = _decoded(path, channel, stat.st_mtime_ns, stat.st_size)
    for note in decoded.notes:
        warnings.warn(f"{path}: {note}", AudioWarning, stacklevel=2)
    first, last = round(start * decoded.rate), round((start + seconds) * decoded.rate)
    name = f"{path} from {start:g} to {start + seconds:g} s"
    return audio.usable(replace(decoded, samples=decoded.samples[first:last].copy()), name, rate)


@lru_cache(maxsize=2)  # many utterances are parts of one recording
def _decoded(path: str, channel: Channel, modified: int, size: int) -> Decoded:
    return decoding.decode(path, path, channel=channel)

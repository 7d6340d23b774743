"""A file of sound to samples: which library reads it, and whether that was all of it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from melmoat.decoding.engines import Samples, Source, Stream, Unreadable
from melmoat.decoding.mixing import Channel, Mixer
from melmoat.decoding.parts import AudioError as AudioError  # also this module's own
from melmoat.decoding.parts import File, Part, parts

SLOWEST, FASTEST = 2_000, 768_000  # Hz; a file of less or more has a wrong header
LOST = 0.01  # share of packets that may be damaged
SHORT = 0.1  # seconds by which a header of MP4 or Matroska may be off

SUFFIXES = frozenset(
    f".{kind}"
    for kinds in (
        ("wav", "wave", "bwf", "rf64", "w64", "aif", "aiff", "aifc", "au", "snd", "caf", "voc"),
        ("sph", "nist", "flac", "ogg", "oga", "opus", "spx", "mp3", "mp2", "mpga", "m4a", "m4b"),
        ("mp4", "mov", "aac", "webm", "weba", "mka", "mkv", "amr", "awb", "3gp", "3g2", "wma"),
        ("ac3", "ape", "wv", "tta"),
    )
    for kind in kinds
)


@dataclass(frozen=True)
class Decoded:
    """A recording.

    Args:
        samples: one channel, full scale 1. Shape: ``[L]``.
        rate: Hz.
        notes: what is to be known about it, such as channels that cancel.
    """

    samples: Samples
    rate: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """What a recording holds: its rate in Hz, frames and channels."""

    rate: int
    frames: int
    channels: int


def decode(
    source: Source,
    name: str,
    *,
    channel: Channel = "mix",
    longest: float = math.inf,
    fastest: int = FASTEST,
    widest: int = 255,
) -> Decoded:
    """One channel of a whole file.

    Args:
        source: its path, or an open file that can be sought in.
        name: what errors call it.
        channel: which one, 0 is the first; ``mix`` is the mean of all.
        longest: seconds; more is refused, if possible before it is decoded.
        fastest: Hz; a higher rate is refused.
        widest: channels; more are refused.

    Raises:
        AudioError: not sound, cut short, followed by what is no part of it, damaged, or over one of
            these limits.
    """
    notes: list[str] = []
    with _reading(source, name, notes) as file:
        mixer: Mixer | None = None
        rate = 0
        for part in parts(file):
            stream = part.stream
            _check(stream, name, channel, fastest, widest)
            if mixer is None:
                mixer, rate = Mixer(channel, stream.channels, stream.rate), stream.rate
            elif (stream.rate, stream.channels) != (rate, mixer.channels):
                raise AudioError(
                    f"{name}: joined recordings of {rate} Hz with {mixer.channels} channel(s) and "
                    f"{stream.rate} Hz with {stream.channels}; split them"
                )
            before = mixer.frames
            _read(stream, mixer, name, longest)
            _whole(part, mixer.frames - before, name)
            notes += [*stream.notes, *_damage(part, name)]
        if mixer is None or not mixer.frames:
            raise AudioError(f"{name}: there is no sound in it; was it cut short?")
        return Decoded(mixer.samples, rate, (*notes, *mixer.notes()))


def probe(source: Source, name: str) -> Probe:
    """How much a file holds; it is decoded only where its header does not tell.

    A corpus has many FLAC files, so of these the first header is believed; of joined ones it tells
    of the first part alone.

    Raises:
        AudioError: as :func:`decode`, as far as headers tell.
    """
    with _reading(source, name, []) as file:
        if (told := _flac(file.file.read(26))) is not None:
            return told
        rate = frames = channels = 0
        for part in parts(file):
            stream = part.stream
            _check(stream, name, "mix", FASTEST, 255)
            rate, channels = stream.rate, stream.channels
            known = stream.declared if part.exact else None
            frames += sum(map(len, stream.blocks)) if known is None else known
        return Probe(rate, frames, channels)


def _flac(head: bytes) -> Probe | None:
    """What the first block of a FLAC file says, if it says how long it is (RFC 9639, 8.2)."""
    bits = int.from_bytes(head[18:26], "big")  # rate 20, channels - 1: 3, width 5, frames 36
    rate, frames = bits >> 44, bits & (2**36 - 1)
    if len(head) < 26 or head[:4] != b"fLaC" or not frames or not SLOWEST <= rate <= FASTEST:
        return None
    return Probe(rate, frames, (bits >> 41 & 7) + 1)


@contextmanager
def _reading(source: Source, name: str, notes: list[str]) -> Iterator[File]:
    """The open file; what goes wrong is told in our words."""
    try:
        if isinstance(source, (str, os.PathLike)):
            with Path(source).open("rb") as file:
                yield File(file, source, name, notes)
        else:
            yield File(source, source, name, notes)
    except Unreadable as error:
        raise AudioError(
            f"{name}: not readable as audio ({error}); is it whole, and a recording?"
        ) from error
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise AudioError(f"{name}: too long for this machine's memory; cut it at pauses") from error


def _check(stream: Stream, name: str, channel: Channel, fastest: int, widest: int) -> None:
    if not SLOWEST <= stream.rate <= fastest:
        raise AudioError(
            f"{name}: {stream.rate} samples a second, where {SLOWEST} to {fastest} are taken; is "
            "its header wrong?"
        )
    if not 1 <= stream.channels <= widest:
        raise AudioError(f"{name}: {stream.channels} channels, where {widest} are taken at most")
    if channel != "mix" and not 0 <= channel < stream.channels:
        raise AudioError(
            f"{name}: no channel {channel}; it has {stream.channels}, and 0 is the first"
        )


def _read(stream: Stream, mixer: Mixer, name: str, longest: float) -> None:
    """Hand all of it to the mixer."""
    most = longest * stream.rate
    _bound(mixer.frames + (stream.declared or 0), most, stream.rate, name)
    for block in stream.blocks:
        if block.shape[1] != mixer.channels:
            raise AudioError(f"{name}: its number of channels changes on the way; split it there")
        mixer.add(block)
        _bound(mixer.frames, most, stream.rate, name)


def _whole(part: Part, got: int, name: str) -> None:
    """Refuse what has fewer frames than it says."""
    stream = part.stream
    slack = 0 if part.exact else SHORT * stream.rate
    if stream.declared is not None and got < stream.declared - slack:
        how = "cut short or damaged" if stream.lost else "cut short"
        raise AudioError(
            f"{name}: the file is {how}: its header promises {stream.declared / stream.rate:.2f} s "
            f"and {got / stream.rate:.2f} s can be decoded; copy it again from its source"
        )


def _damage(part: Part, name: str) -> list[str]:
    """Say which packets could not be decoded, if they are few."""
    stream = part.stream
    damaged = f"{stream.lost} of its {stream.packets} packets cannot be decoded"
    if stream.lost > (0 if part.exact else LOST * stream.packets):
        raise AudioError(f"{name}: damaged: {damaged}")
    return [damaged] if stream.lost else []


def _bound(frames: int, most: float, rate: int, name: str) -> None:
    if frames > most:
        raise AudioError(
            f"{name}: {frames / rate:.1f} s of audio, of which {most / rate:g} s are taken at "
            "most; cut it at pauses"
        )

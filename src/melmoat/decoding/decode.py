"""Decodes an audio file: chooses the library, and checks that the file was read completely."""

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

SLOWEST, FASTEST = 2_000, 768_000  # Hz; outside of this range a header is wrong
LOST = 0.01  # share of packets that may be damaged
SHORT = 0.1  # seconds of tolerance for a header of MP4 or Matroska

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
        notes: warnings, such as channels that cancel.
    """

    samples: Samples
    rate: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Probe:
    """The rate of a recording in Hz, its frames and channels."""

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
        source: its path, or an open seekable file.
        name: its name for errors.
        channel: a number (0 is the first), or ``mix``, the mean of all.
        longest: most seconds; a longer file is refused, if possible before it is decoded.
        fastest: largest rate, Hz.
        widest: most channels.

    Raises:
        AudioError: the file is not audio, is cut short, is followed by other data, is damaged, or
            exceeds one of these limits.
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
    """The size of a file; it is decoded only if its header does not say.

    A corpus has many FLAC files, so for these the first header is trusted. For joined FLAC files it
    covers the first part only.

    Raises:
        AudioError: as :func:`decode`, as far as headers show.
    """
    with _reading(source, name, []) as file:
        if (from_header := _flac(file.file.read(26))) is not None:
            return from_header
        rate = frames = channels = 0
        for part in parts(file):
            stream = part.stream
            _check(stream, name, "mix", FASTEST, 255)
            rate, channels = stream.rate, stream.channels
            known = stream.declared if part.exact else None
            frames += sum(map(len, stream.blocks)) if known is None else known
        return Probe(rate, frames, channels)


def _flac(head: bytes) -> Probe | None:
    """The first block of a FLAC file, if it has the length (RFC 9639, 8.2)."""
    bits = int.from_bytes(head[18:26], "big")  # rate 20, channels - 1: 3, width 5, frames 36
    rate, frames = bits >> 44, bits & (2**36 - 1)
    if len(head) < 26 or head[:4] != b"fLaC" or not frames or not SLOWEST <= rate <= FASTEST:
        return None
    return Probe(rate, frames, (bits >> 41 & 7) + 1)


@contextmanager
def _reading(source: Source, name: str, notes: list[str]) -> Iterator[File]:
    """The open file; errors become AudioErrors."""
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
    """Pass all samples to the mixer."""
    most = longest * stream.rate
    _bound(mixer.frames + (stream.declared or 0), most, stream.rate, name)
    for block in stream.blocks:
        if block.shape[1] != mixer.channels:
            raise AudioError(f"{name}: its number of channels changes on the way; split it there")
        mixer.add(block)
        _bound(mixer.frames, most, stream.rate, name)


def _whole(part: Part, got: int, name: str) -> None:
    """Refuse a file with fewer frames than its header states."""
    stream = part.stream
    slack = 0 if part.exact else SHORT * stream.rate
    if stream.declared is not None and got < stream.declared - slack:
        how = "cut short or damaged" if stream.lost else "cut short"
        raise AudioError(
            f"{name}: the file is {how}: its header promises {stream.declared / stream.rate:.2f} s "
            f"and {got / stream.rate:.2f} s can be decoded; copy it again from its source"
        )


def _damage(part: Part, name: str) -> list[str]:
    """A warning if a few packets could not be decoded; an error if there are more."""
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

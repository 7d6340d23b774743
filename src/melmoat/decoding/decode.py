"""A file of sound to samples: which library reads it, and whether that was all of it."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from melmoat.decoding import boxes, containers, mp3, ogg
from melmoat.decoding.engines import Samples, Stream, Unreadable, ffmpeg, sndfile
from melmoat.decoding.mixing import Channel, Mixer
from melmoat.errors import MelmoatError

SLOWEST, FASTEST = 2_000, 768_000  # Hz; a file of less or more has a wrong header
LEFT = 2048  # bytes after a container's end that may be some program's mark
LOST = 0.01  # share of packets that may be damaged
SHORT = 0.1  # seconds by which a header of MP4 or Matroska may be off

_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # and the head of its first block

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

Source = str | os.PathLike[str] | BinaryIO
Engines = tuple[Callable[[Source], Stream], ...]


class AudioError(MelmoatError):
    """A file or signal that cannot be used as speech; the message says why and what to do."""


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


@dataclass(frozen=True)
class _Part:
    """One stream of a file, and what is known of its length.

    Args:
        stream: not yet read.
        exact: whether ``stream.declared`` counts every frame.
    """

    stream: Stream
    exact: bool = False


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
    with _reading(source, name) as (file, place):
        notes: list[str] = []
        mixer: Mixer | None = None
        rate = 0
        for part in _parts(file, place, name, notes):
            stream = part.stream
            _check(stream, name, channel, fastest, widest)
            if mixer is None:
                mixer, rate = Mixer(channel, stream.channels), stream.rate
            elif (stream.rate, stream.channels) != (rate, mixer.channels):
                raise AudioError(
                    f"{name}: joined recordings of {rate} Hz with {mixer.channels} channel(s) and "
                    f"{stream.rate} Hz with {stream.channels}; split them"
                )
            _read(part, mixer, name, longest)
            notes += _damage(part, name)
        assert mixer is not None
        return Decoded(mixer.samples, rate, (*notes, *mixer.notes()))


def probe(source: Source, name: str) -> Probe:
    """How much a file holds; it is decoded only where its header does not tell.

    Raises:
        AudioError: as :func:`decode`, as far as headers tell.
    """
    with _reading(source, name) as (file, place):
        rate = frames = channels = 0
        for part in _parts(file, place, name, []):
            stream = part.stream
            _check(stream, name, "mix", FASTEST, 255)
            rate, channels = stream.rate, stream.channels
            known = stream.declared if part.exact else None
            frames += sum(map(len, stream.blocks)) if known is None else known
        return Probe(rate, frames, channels)


@contextmanager
def _reading(source: Source, name: str) -> Iterator[tuple[BinaryIO, Source]]:
    """The open file, and what to hand to a library; what goes wrong is told in our words."""
    try:
        if isinstance(source, (str, os.PathLike)):
            with Path(source).open("rb") as file:
                yield file, source
        else:
            yield source, source
    except Unreadable as error:
        raise AudioError(
            f"{name}: not readable as audio ({error}); is it whole, and a recording?"
        ) from error
    except OSError as error:
        raise AudioError(f"{name}: cannot be read ({error.strerror or error})") from error
    except MemoryError as error:
        raise AudioError(f"{name}: too long for this machine's memory; cut it at pauses") from error


def _parts(file: BinaryIO, place: Source, name: str, notes: list[str]) -> Iterator[_Part]:
    """The streams of a file, one after another."""
    file.seek(0)
    head = file.read(12)
    file.seek(0)
    found = containers.extent(file)
    file.seek(0)
    if found is not None:
        odd = head[:4] == b"Crea"  # libsndfile takes a VOC's inner heads for samples
        yield _plain(found, place, name, (ffmpeg, sndfile) if odd else (sndfile, ffmpeg))
    elif head[:4] == b"OggS":
        yield from _ogg(file.read(), name, notes)
    elif head[:4] == b"fLaC":
        yield from _flac(file, place)
    elif _is_mp3(file, head):
        file.seek(0)
        yield from _mp3(file.read(), name, notes)
    else:
        end = file.seek(0, 2)
        said = boxes.end(file) or end
        if said < end:
            raise AudioError(
                f"{name}: {end - said:,} bytes follow its end, as of joined files; split it"
            )
        if said > end:
            raise AudioError(
                f"{name}: the file is cut short: it ends {said - end:,} bytes before its header "
                "says; copy it again from its source"
            )
        file.seek(0)
        yield _any(place)


def _plain(found: containers.Extent, place: Source, name: str, engines: Engines) -> _Part:
    """An uncompressed container."""
    if found.missing:
        raise AudioError(
            f"{name}: the file is cut short: its header promises {found.size:,} bytes of samples "
            f"and {found.end - found.start:,} are there; copy it again from its source"
        )
    if found.left > LEFT:
        raise AudioError(
            f"{name}: its header counts {found.size:,} bytes of samples, and {found.left:,} more "
            "follow that are no part of it, as of joined files or a wrong size; split it, or "
            "write it anew"
        )
    unknown = found.size is None  # libsndfile may take that for nothing
    for engine in (ffmpeg, sndfile) if unknown else engines:
        try:
            return _Part(engine(place), exact=engine is sndfile and not unknown)
        except Unreadable as error:
            why = error
            _rewind(place)
    raise why


def _rewind(place: Source) -> None:
    if not isinstance(place, (str, os.PathLike)):
        place.seek(0)


def _flac(file: BinaryIO, place: Source) -> Iterator[_Part]:
    """Joined ones apart: FFmpeg drops a frame where they meet."""
    starts = [match.start() for match in _FLAC.finditer(file.read())]
    file.seek(0)
    if len(starts) < 2:  # none where its head is damaged, which FFmpeg will tell
        yield _Part(ffmpeg(place), exact=True)
        return
    data = file.read()
    for start, end in pairwise([*starts, len(data)]):
        yield _Part(ffmpeg(io.BytesIO(data[start:end])), exact=True)


def _ogg(data: bytes, name: str, notes: list[str]) -> Iterator[_Part]:
    found = ogg.layout(data)
    if found.torn:
        raise AudioError(
            f"{name}: the file is cut short: its last page is not whole; copy it again from its "
            "source"
        )
    _name_junk(found.junk, len(data), name, notes)
    for start, end in found.links:
        part = io.BytesIO(data[start:end])
        try:
            yield _Part(sndfile(part), exact=True)
        except Unreadable:
            part.seek(0)
            yield _Part(ffmpeg(part))


def _is_mp3(file: BinaryIO, head: bytes) -> bool:
    if head[:3] != b"ID3":
        return mp3.header(head, 0) is not None
    size = mp3.tag(head, 0)
    file.seek(size)
    following = file.read(4)
    return following[:4] != b"fLaC"


def _mp3(data: bytes, name: str, notes: list[str]) -> Iterator[_Part]:
    found = mp3.layout(data)
    if not found.segments:
        raise Unreadable("no frame of MPEG audio in it")
    for one in found.segments:
        if one.declared is not None and one.frames < one.declared:
            raise AudioError(
                f"{name}: the file is cut short: its first frame counts {one.declared} frames and "
                f"{one.frames} are there; copy it again from its source"
            )
    if found.torn:
        notes.append("its last frame is not whole: the file may be cut short")
    _name_junk(found.junk, len(data), name, notes)
    for one in found.segments:
        part = io.BytesIO(data[one.start : one.end])
        if one.declared is not None:
            yield _Part(sndfile(part), exact=True)
        else:
            yield _Part(ffmpeg(part))


def _any(place: Source) -> _Part:
    """What neither of the others is: FFmpeg's, or an odd one that libsndfile alone knows."""
    try:
        return _Part(ffmpeg(place))
    except Unreadable as error:
        _rewind(place)
        try:
            return _Part(sndfile(place), exact=True)
        except Unreadable:
            raise error from None


def _name_junk(junk: int, size: int, name: str, notes: list[str]) -> None:
    """Say what is in a file that is no sound."""
    if junk > size / 2:
        raise AudioError(f"{name}: {junk:,} of its {size:,} bytes are no audio; it is damaged")
    if junk:
        notes.append(f"{junk:,} of its {size:,} bytes are no audio and were passed over")


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


def _read(part: _Part, mixer: Mixer, name: str, longest: float) -> None:
    """Hand all of one part to the mixer."""
    stream, before = part.stream, mixer.frames
    most = longest * stream.rate
    _bound(before + (stream.declared or 0), most, stream.rate, name)
    for block in stream.blocks:
        if block.shape[1] != mixer.channels:
            raise AudioError(f"{name}: its number of channels changes on the way; split it there")
        mixer.add(block)
        _bound(mixer.frames, most, stream.rate, name)
    got = mixer.frames - before
    slack = 0 if part.exact else SHORT * stream.rate
    if stream.declared is not None and got < stream.declared - slack:
        raise AudioError(
            f"{name}: the file is cut short: its header promises "
            f"{stream.declared / stream.rate:.2f} s and {got / stream.rate:.2f} s are there; copy "
            "it again from its source"
        )


def _damage(part: _Part, name: str) -> list[str]:
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

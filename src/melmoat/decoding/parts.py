"""Splits a file into streams, chooses a library for each, and checks that they cover the file."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from melmoat.decoding import boxes, containers, mp3, ogg
from melmoat.decoding.engines import Source, Stream, Unreadable, ffmpeg, sndfile
from melmoat.errors import MelmoatError

LEFT = 2048  # bytes after a container's end that may be the mark of a program
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")  # and the head of its first block


class AudioError(MelmoatError):
    """A file or signal that cannot be used as speech; the message says why and what to do."""


@dataclass(frozen=True)
class Part:
    """One stream of a file, and what is known about its length.

    Args:
        stream: the stream, not yet read.
        exact: whether ``stream.declared`` counts every frame.
    """

    stream: Stream
    exact: bool = False


@dataclass(frozen=True)
class File:
    """A file that is being split.

    Args:
        file: open and seekable.
        place: the source for libsndfile: the path if there is one, because it is faster.
        name: its name for errors.
        notes: warnings; the list grows.
    """

    file: BinaryIO
    place: Source
    name: str
    notes: list[str]

    def sndfile(self) -> Stream:
        """The whole file by libsndfile."""
        self.file.seek(0)
        return sndfile(self.place)

    def ffmpeg(self) -> Stream:
        """The whole file by FFmpeg."""
        self.file.seek(0)
        return ffmpeg(self.file)

    def cut(self, how: str) -> AudioError:
        """The error for a file that is cut short."""
        return AudioError(
            f"{self.name}: the file is cut short: {how}; copy it again from its source"
        )

    def has_junk(self, size: int, whole: int) -> None:
        """Warn that ``size`` of ``whole`` bytes are not audio, or refuse the file if there are
        many."""
        if size > whole / 2:
            raise AudioError(f"{self.name}: {size:,} of its {whole:,} bytes are no audio: damaged")
        if size:
            self.notes.append(f"{size:,} of its {whole:,} bytes are no audio and were passed over")


def parts(source: File) -> Iterator[Part]:
    """The streams of a file, one after another.

    Raises:
        AudioError: it is cut short, or contains other data.
        Unreadable: no library reads it.
    """
    source.file.seek(0)
    head = source.file.read(12)
    if not head:
        raise AudioError(f"{source.name}: the file is empty (0 bytes)")
    if head[:3] == b"ID3":  # which some programs put before anything
        source.file.seek(0)
        data, at = source.file.read(), 0
        while data[at : at + 3] == b"ID3" and (tag := mp3.tag(data, at)):
            at += tag
        if data[at : at + 3] != b"ID3" and mp3.header(data, at) is None and data[at:]:
            file = io.BytesIO(data[at:])
            yield from parts(File(file, file, source.name, source.notes))
            return
    source.file.seek(0)
    container = containers.extent(source.file)
    source.file.seek(0)
    if container is not None:
        yield _plain(source, container, head[:4])
    elif head[:4] == b"OggS":
        yield from _ogg(source, source.file.read())
    elif head[:4] == b"fLaC":
        yield from _flac(source, source.file.read())
    elif _is_mp3(head.lstrip(b"\0")) or head[:3] == b"ID3" or not head.strip(b"\0"):
        yield from _mp3(source, source.file.read())
    else:
        yield _other(source)


def _is_mp3(content: bytes) -> bool:
    return mp3.header(content, 0) is not None


def _plain(source: File, container: containers.Extent, kind: bytes) -> Part:
    """An uncompressed container."""
    if container.missing:
        there = container.end - container.start
        raise source.cut(
            f"its header promises {container.size:,} bytes of samples and {there:,} are there"
        )
    if container.left > LEFT:
        raise AudioError(
            f"{source.name}: its header counts {container.size:,} bytes of samples, and "
            f"{container.left:,} "
            "more follow that are no part of it, as of joined files or a wrong size; split it, or "
            "write it anew"
        )
    if container.size is None and kind in (b"RF64", b"BW64"):  # whose empty size FFmpeg believes
        source.file.seek(0)
        return Part(ffmpeg(io.BytesIO(b"RIFF" + source.file.read()[4:])))
    # libsndfile takes an unknown size for nothing, and a VOC's inner heads for samples.
    first = source.ffmpeg if container.size is None or kind == b"Crea" else source.sndfile
    stream = _first(first, source.sndfile if first == source.ffmpeg else source.ffmpeg)
    return Part(stream, exact=stream.counted and container.size is not None)


def _first(*engines: Callable[[], Stream]) -> Stream:
    """The stream of the first engine that can read the file."""
    failed: Unreadable | None = None
    for engine in engines:
        try:
            return engine()
        except Unreadable as error:
            failed = failed or error
    assert failed is not None
    raise failed


def _flac(source: File, data: bytes) -> Iterator[Part]:
    """Joined files one by one: FFmpeg drops a frame where they meet."""
    starts = [match.start() for match in _FLAC.finditer(data)]
    if len(starts) < 2:  # none where its head is damaged, which FFmpeg will tell
        yield Part(source.ffmpeg(), exact=True)
        return
    for start, end in pairwise([*starts, len(data)]):
        yield Part(ffmpeg(io.BytesIO(data[start:end])), exact=True)


def _ogg(source: File, data: bytes) -> Iterator[Part]:
    layout = ogg.layout(data)
    if layout.torn:
        raise source.cut("its last page is not whole")
    if layout.broken:
        raise AudioError(f"{source.name}: damaged: {layout.broken} pages are missing or changed")
    if layout.open:
        source.notes.append("its last page is not marked as the last: the file may be cut short")
    source.has_junk(layout.junk, len(data))
    for start, end in layout.links:
        file = io.BytesIO(data[start:end])
        part = File(file, file, source.name, source.notes)
        stream = _first(part.sndfile, part.ffmpeg)
        yield Part(stream, exact=stream.counted)


def _mp3(source: File, data: bytes) -> Iterator[Part]:
    layout = mp3.layout(data)
    if not layout.segments:
        raise Unreadable("no frame of MPEG audio in it")
    for run in layout.segments:
        if run.declared is not None and run.frames < run.declared:
            raise source.cut(
                f"its first frame counts {run.declared} frames and {run.frames} are there"
            )
    if layout.torn:
        source.notes.append("its last frame is not whole: the file may be cut short")
    source.has_junk(layout.junk, len(data))
    for run in layout.segments:
        part = io.BytesIO(data[run.start : run.end])
        yield Part(ffmpeg(part)) if run.declared is None else Part(sndfile(part), exact=True)


def _other(source: File) -> Part:
    """Any other format: read by FFmpeg, or a rare one that only libsndfile knows."""
    end = source.file.seek(0, os.SEEK_END)
    declared = boxes.end(source.file) or end
    if declared < end:
        raise AudioError(
            f"{source.name}: {end - declared:,} bytes follow its end, as of joined files; split it"
        )
    if declared > end:
        raise source.cut(f"it ends {declared - end:,} bytes before its header says")
    stream = _first(source.ffmpeg, source.sndfile)
    return Part(stream, exact=stream.counted)

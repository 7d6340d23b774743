"""The two libraries that decode: libsndfile (through soundfile) and FFmpeg's (through PyAV).

libsndfile reads uncompressed containers and, part by part, Ogg and MP3 with a frame count. FFmpeg
reads the rest: MP3 without a count (libsndfile stops too early), FLAC of unknown length (libsndfile
cannot read it), and AAC, AMR, MP4, WebM and others (libsndfile does not know them). PyAV's wheels
contain FFmpeg under the LGPL 3. miniaudio has no AAC, and torchcodec needs a separate FFmpeg.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Source = str | os.PathLike[str] | BinaryIO
FORMATS = (  # FFmpeg's formats of audio files whose end is known
    *("aac", "ac3", "eac3", "aiff", "amr", "amrnb", "amrwb", "ape", "asf", "au", "caf", "flac"),
    *("matroska", "webm", "mov", "mp3", "nistsphere", "ogg", "tta", "voc", "w64", "wav", "wv"),
)
BLOCK = 2**20  # samples that libsndfile decodes at once, all channels together


class Unreadable(Exception):
    """A library cannot read a file; the message says why."""


@dataclass
class Stream:
    """Audio while it is decoded.

    Attributes:
        rate: Hz.
        channels: number of channels at its start.
        declared: frames according to the header, if it says.
        blocks: the samples, full scale 1. Shape: ``[n, channels]``.
        counted: whether ``declared`` reliably counts every frame.
        notes: warnings.
        lost: packets that could not be decoded, counted while the blocks are read.
        packets: all packets, counted in the same way.
    """

    rate: int
    channels: int
    declared: int | None
    blocks: Iterator[Samples] = field(default_factory=lambda: iter(()))
    counted: bool = False
    notes: tuple[str, ...] = ()
    lost: int = 0
    packets: int = 0


def sndfile(source: Source) -> Stream:
    """``source`` by libsndfile.

    Raises:
        Unreadable: it cannot be.
    """
    try:
        file = soundfile.SoundFile(source)
    except (soundfile.LibsndfileError, TypeError, OSError) as error:  # TypeError: headerless .raw
        raise Unreadable(str(getattr(error, "error_string", error))) from error

    def blocks() -> Iterator[Samples]:
        with file:
            while True:
                try:
                    block = file.read(max(1, BLOCK // file.channels), "float32", always_2d=True)
                except (soundfile.LibsndfileError, ValueError) as error:
                    raise Unreadable(str(error)) from error
                if not len(block):
                    return
                yield block

    counted = not file.subtype.startswith("MPEG")  # it guesses those from their size
    return Stream(file.samplerate, file.channels, file.frames, blocks(), counted)


def ffmpeg(file: BinaryIO) -> Stream:
    """The first track of sound in ``file`` by FFmpeg.

    FFmpeg may open this file only, and only as one of :data:`FORMATS`. A playlist or a session
    description would make it read other files, or listen to the network.

    Raises:
        Unreadable: it cannot be read, or has no audio.
    """
    import av  # takes a tenth of a second, and most files do not need it

    bounds = {"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "none"}
    try:
        container: Any = av.open(file, "r", options=bounds, metadata_errors="ignore")
    except (av.error.FFmpegError, ValueError) as error:
        raise Unreadable(_reason(error)) from error
    if not container.streams.audio:
        container.close()
        raise Unreadable("there is no sound in it")
    track = container.streams.audio[0]
    if not getattr(track, "rate", 0) or not track.channels:  # none where no coder is known
        container.close()
        raise Unreadable("its header is broken")
    stream = Stream(track.rate, track.channels, _declared(container, track))
    if (tracks := len(container.streams.audio)) > 1:
        stream.notes = (f"it has {tracks} tracks of sound, of which the first is heard",)
    track.codec_context.options = {"err_detect": "crccheck+explode"}

    numbered = container.format.name == "flac"  # whose frames say where they belong

    def blocks() -> Iterator[Samples]:
        seen = 0
        with container:
            for packet in container.demux(track):
                stream.packets += 1
                try:
                    frames = packet.decode()
                except av.error.FFmpegError:
                    stream.lost += 1
                    continue
                for frame in frames:
                    if numbered and frame.pts != seen:  # a damaged frame was passed over
                        stream.lost += 1
                    seen += frame.samples
                    if frame.sample_rate != stream.rate:
                        raise Unreadable(
                            f"its rate changes from {stream.rate} to {frame.sample_rate} Hz on the "
                            "way; split it there"
                        )
                    yield _floats(frame.to_ndarray(), frame.format.is_planar, _channels(frame))

    def guarded() -> Iterator[Samples]:
        try:
            yield from blocks()
        except (av.error.FFmpegError, ValueError) as error:  # ValueError: 64-bit integers
            raise Unreadable(_reason(error)) from error

    stream.blocks = guarded()
    return stream


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)


def _channels(frame: Any) -> int:
    return int(frame.layout.nb_channels)


def _declared(container: Any, track: Any) -> int | None:
    """Frames according to the header, for formats whose length is not estimated from the bit
    rate."""
    known = container.format.name.split(",")[0]
    if known in ("mov", "flac") and track.duration:
        return round(float(track.duration * track.time_base * track.rate))
    if known == "matroska" and container.duration:
        return int(container.duration * track.rate / 1_000_000)
    return None


def _floats(samples: NDArray[Any], planar: bool, channels: int) -> Samples:
    """FFmpeg's samples as floats. Shape: ``[channels, n]`` or ``[1, n * channels]``."""
    samples = samples.T if planar else samples.reshape(-1, channels)
    if samples.dtype == np.uint8:
        return ((samples.astype(np.float32) - 128) / 128).astype(np.float32)
    if samples.dtype.kind == "i":
        return (samples / float(2 ** (8 * samples.dtype.itemsize - 1))).astype(np.float32)
    return np.ascontiguousarray(samples, dtype=np.float32)

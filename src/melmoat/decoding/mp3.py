"""The frames of an MPEG audio file.

A file may begin with a frame without sound that counts the others (marked Xing, Info or VBRI).
Without it, decoders guess the length from the size and the first bit rate, and some stop there.
Joined files have several such frames. So frames are counted here.

Source: ISO/IEC 11172-3 and 13818-3, 2.4.1.3 and 2.4.2.3 (header); Xing's and LAME's tags.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_V1 = {  # kbit/s of MPEG 1, by layer
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_LAYER1 = (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256)
_OTHER = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_V2 = {1: _LAYER1, 2: _OTHER, 3: _OTHER}  # of MPEG 2 and 2.5
_RATES = (44_100, 48_000, 32_000)  # of MPEG 1; half of it in MPEG 2, a quarter in 2.5
_NEXT = re.compile(rb"\xff[\xe0-\xff]|ID3|TAG|APETAGEX")  # where a frame or a tag may begin
MARKS = (b"Xing", b"Info", b"VBRI")


@dataclass(frozen=True)
class Header:
    """The header of a frame: its length in bytes, samples (of one channel) and rate in Hz."""

    size: int
    samples: int
    rate: int


@dataclass
class Segment:
    """A run of frames from one encoding.

    Attributes:
        start, end: place in the file, bytes.
        declared: frames according to its counting frame, if there is one.
        frames: complete frames, without the counting one.
        samples, rate: samples and rate of each frame.
    """

    start: int
    end: int
    declared: int | None
    frames: int
    samples: int
    rate: int


@dataclass(frozen=True)
class Layout:
    """The runs of frames in a file, its bytes of junk, and whether the last frame is cut."""

    segments: list[Segment]
    junk: int
    torn: bool


def header(data: bytes, at: int) -> Header | None:
    """The frame header at ``at``, if there is one (of a free bit rate: none)."""
    if at + 4 > len(data) or data[at] != 0xFF or data[at + 1] < 0xE0:
        return None
    version, layer = data[at + 1] >> 3 & 3, 4 - (data[at + 1] >> 1 & 3)
    bits, rate, padding = data[at + 2] >> 4, data[at + 2] >> 2 & 3, data[at + 2] >> 1 & 1
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbps = (_V1 if version == 3 else _V2)[layer][bits - 1]
    samples = 384 if layer == 1 else 576 if layer == 3 and version != 3 else 1152
    if layer == 1:
        return Header((12_000 * kbps // hz + padding) * 4, samples, hz)
    return Header(samples // 8 * 1000 * kbps // hz + padding, samples, hz)


def layout(data: bytes) -> Layout:
    """The frames of ``data``, a whole file."""
    segments: list[Segment] = []
    at = junk = 0
    fresh, torn = True, False
    while at < len(data):
        if skipped := tag(data, at):
            at, fresh = at + skipped, True
            continue
        frame = header(data, at)
        follows = bool(segments) and segments[-1].end == at  # else it may be junk by chance
        if frame is None or not (follows or _goes_on(data, at + frame.size)):
            following = _NEXT.search(data, at + 1)
            end = following.start() if following else len(data)
            at, junk = end, junk + end - at
            continue
        if at + frame.size > len(data):
            torn = True
            break
        counting = _declared(data[at : at + min(frame.size, 200)])
        last = segments[-1] if segments else None
        full = last is not None and last.declared == last.frames
        if last is None or fresh or counting is not None or full or last.rate != frame.rate:
            declared = counting or None
            last = Segment(at, at, declared, -(counting is not None), frame.samples, frame.rate)
            segments.append(last)
        at += frame.size
        last.frames, last.end, fresh = last.frames + 1, at, False
    return Layout(
        [segment for segment in segments if segment.frames > 0 or segment.declared], junk, torn
    )


def _goes_on(data: bytes, at: int) -> bool:
    """Whether a frame may end at ``at``: another one, a tag or the end is there."""
    return at + 4 > len(data) or header(data, at) is not None or bool(tag(data, at))


def tag(data: bytes, at: int) -> int:
    """Bytes of the ID3 or APE tag at ``at``; 0 if there is none."""
    mark = data[at : at + 8]
    if mark[:3] == b"ID3" and len(data) >= at + 10:
        size = 0
        for seven in data[at + 6 : at + 10]:
            size = size << 7 | seven & 0x7F
        return 10 + size + 10 * (data[at + 5] >> 4 & 1)
    if mark[:3] == b"TAG" and len(data) - at in (128, 128 + 227):
        return len(data) - at
    if mark == b"APETAGEX":
        return 32 * (data[at + 23] >> 7) + int.from_bytes(data[at + 12 : at + 16], "little")
    return 0


def _declared(frame: bytes) -> int | None:
    """The count in a counting frame, 0 if it is left out; None if the frame is not a counting
    one."""
    places = [(n, mark) for mark in MARKS if (n := frame.find(mark, 4)) >= 0]
    if not places:
        return None
    at, mark = min(places)
    if mark == b"VBRI":
        return int.from_bytes(frame[at + 14 : at + 18], "big")
    counted = int.from_bytes(frame[at + 4 : at + 8], "big") & 1
    return int.from_bytes(frame[at + 8 : at + 12], "big") if counted else 0

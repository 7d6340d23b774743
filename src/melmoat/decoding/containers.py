"""The sizes in the headers of uncompressed containers.

A decoder stops silently where a file was cut, or where its header states too small a size. So the
sizes are read here and compared with the file.

Sources: Microsoft and IBM, *Multimedia Programming Interface* (RIFF); EBU Tech 3306 (RF64); Sony,
*Wave64*; Apple, *AIFF-C* and *Core Audio Format*; NIST, *SPHERE*; Sun, *audio file format* (AU);
Creative, *Voice File*.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

SHARE = 2**16  # bytes read at once when padding is checked


@dataclass(frozen=True)
class Extent:
    """The place of a container's samples, in bytes.

    Args:
        start: start of the samples.
        size: size of the samples according to the header; None if it was never filled in.
        end: end of the file.
        left: bytes after the container's last part; 0 if they are all zeros.
    """

    start: int
    size: int | None
    end: int
    left: int = 0

    @property
    def missing(self) -> int:
        """Bytes that the header promises and the file does not have."""
        return max(0, self.start + (self.size or 0) - self.end)


def extent(file: BinaryIO) -> Extent | None:
    """The extent of ``file`` according to its header; None for other containers."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    file.seek(0)
    readers: dict[bytes, Callable[[BinaryIO, int], Extent | None]] = {
        b"RIFF": _riff,
        b"RIFX": _riff,
        b"RF64": _riff,
        b"BW64": _riff,
        b"riff": _w64,
        b"FORM": _aiff,
        b"caff": _caf,
        b".snd": _au,
        b"dns.": _au,
        b"NIST": _sphere,
        b"Crea": _voc,
    }
    reader = readers.get(head[:4])
    return reader(file, end) if reader else None


def _unknown(size: int) -> bool:
    """Whether a 32-bit size means unknown: programs then write 2 or 4 GiB, or nearly.

    sox 0x7FFFF000 (AIFF: 0x7F000000 and a header), arecord 0x7FFFFF00, others 0x80000000 or
    0xFFFFFFFF, less a header.
    """
    near = ((0x7EFFF000, 0x7F001000), (0x7FFFE000, 0x80001000), (0xFFFFE000, 0xFFFFFFFF))
    return any(low <= size <= high for low, high in near)


# A chunk: its name, where its body begins, and the body's size.
Chunk = tuple[bytes, int, int]


def _walk(file: BinaryIO, at: int, end: int, order: str, wide: bool = False) -> Iterator[Chunk]:
    """Chunks of a four-letter name and a size, of 32 bits (padded to even) or 64 (CAF, not padded).

    Ends at the end of the file, or at bytes that are no chunk.
    """
    head = 12 if wide else 8
    while at + head <= end:
        file.seek(at)
        raw = file.read(head)
        name, size = raw[:4], int.from_bytes(raw[4:], order, signed=wide)  # type: ignore[arg-type]
        if not re.fullmatch(rb"[ -~]{4}", name) or name in (b"RIFF", b"FORM", b"caff"):
            return
        yield name, at + head, size
        at += head + size + (0 if wide else size & 1)


def _after(file: BinaryIO, chunks: Iterator[Chunk], at: int, end: int, pad: int) -> int:
    """Bytes after the last chunk that are not padding."""
    for name, start, size in chunks:
        if start + size > end or name == b"data":  # no chunk, or samples that nobody reads
            break
        at = start + size + (size & pad)
    return _left(file, at, end)


def _left(file: BinaryIO, at: int, end: int) -> int:
    """Bytes from ``at`` on, or 0 if they are all zeros."""
    file.seek(min(at, end))
    while block := file.read(SHARE):
        if block.strip(b"\0"):
            return end - at
    return 0


def _riff(file: BinaryIO, end: int) -> Extent | None:
    head = file.read(12)
    order = "big" if head[:4] == b"RIFX" else "little"
    wide: int | None = None
    for name, start, size in _walk(file, 12, end, order):
        if name == b"ds64":
            file.seek(start + 8)
            wide = int.from_bytes(file.read(8), "little")
        if name == b"data":
            if size == 0xFFFFFFFF and wide not in (None, 0, 2**64 - 1):
                size = wide or 0
            elif _unknown(size) and start + size > end:
                return Extent(start, None, end)
            return _closed(file, start, size, end, order)
    return None


def _closed(file: BinaryIO, start: int, size: int, end: int, order: str) -> Extent:
    """Samples of ``size`` bytes. A size of 0 without a chunk behind it was never filled in."""
    at = start + size + (size & 1)
    left = _after(file, _walk(file, at, end, order), at, end, 1)
    if size & 1 and left:  # some programs do not pad
        left = min(left, _after(file, _walk(file, at - 1, end, order), at - 1, end, 1))
    if size == 0 and left:
        return Extent(start, None, end)
    return Extent(start, size, end, left)


def _w64(file: BinaryIO, end: int) -> Extent | None:
    at = 40  # behind the file's own name and size, and "wave"
    samples: tuple[int, int] | None = None
    while at + 24 <= end:
        file.seek(at)
        raw = file.read(24)
        size = int.from_bytes(raw[16:], "little")  # the chunk's head included
        if not re.fullmatch(rb"[ -~]{4}", raw[:4]) or raw[:4] == b"riff" or size < 24:
            break
        if raw[:4] == b"data":
            samples = at + 24, size - 24
            if at + size > end:
                break
        at += -(-size // 8) * 8
    if samples is None:
        return None
    start, size = samples
    if size > 2**62:
        return Extent(start, None, end)
    return Extent(start, size, end, _left(file, at, end) if start + size <= end else 0)


def _aiff(file: BinaryIO, end: int) -> Extent | None:
    samples: Extent | None = None
    at = 12
    for name, start, size in _walk(file, 12, end, "big"):
        if name == b"SSND":
            offset = int.from_bytes(file.read(4), "big") if file.seek(start) else 0
            first = start + 8 + offset
            if (_unknown(size) and start + size > end) or size == 0:
                return Extent(first, None, end)
            samples = Extent(first, size - 8 - offset, end)
        if start + size > end:
            return samples
        at = start + size + (size & 1)
    return samples and Extent(samples.start, samples.size, end, _left(file, at, end))


def _caf(file: BinaryIO, end: int) -> Extent | None:
    for name, start, size in _walk(file, 8, end, "big", wide=True):
        if name == b"data":
            if size < 0:  # "to the end of the file"
                return Extent(start + 4, None, end)
            at = start + size
            left = _after(file, _walk(file, at, end, "big", wide=True), at, end, 0)
            return Extent(start + 4, size - 4, end, left)
        if size < 0:
            return None
    return None


def _au(file: BinaryIO, end: int) -> Extent | None:
    order = "big" if file.read(4) == b".snd" else "little"
    start, size = (int.from_bytes(file.read(4), order) for _ in range(2))  # type: ignore[arg-type]
    if (size == 0 and end > start) or (_unknown(size) and start + size > end):
        return Extent(start, None, end)
    return Extent(start, size, end, _left(file, start + size, end))


def _sphere(file: BinaryIO, end: int) -> Extent | None:
    try:
        start = int(file.read(16)[8:])
        file.seek(0)
        fields = dict(
            re.findall(rb"(?m)^(\w+) -(?:i|s\d+) (\d+)\s*$", file.read(min(start, SHARE)))
        )
        file.seek(0)
        if b"shorten" in file.read(min(start, SHARE)):  # its bytes are fewer
            return None
        frames, width = int(fields[b"sample_count"]), int(fields[b"sample_n_bytes"])
    except (ValueError, KeyError):  # a decoder will say whether it can be read
        return None
    size = frames * width * int(fields.get(b"channel_count", 1))
    return Extent(start, size, end, _left(file, start + size, end))


def _voc(file: BinaryIO, end: int) -> Extent | None:
    head = file.read(22)
    at = start = int.from_bytes(head[20:], "little")
    while at + 4 <= end:
        file.seek(at)
        raw = file.read(4)
        size = int.from_bytes(raw[1:], "little")
        if raw[0] == 0:  # the last block, which is one byte
            return Extent(start, at - start, end, _left(file, at + 1, end))
        if raw[0] > 9:
            return Extent(start, at - start, end, _left(file, at, end)) if at > start else None
        if at + 4 + size > end:
            return Extent(start, None if size in (0xFFFFFF, 0) else at + 4 + size - start, end)
        at += 4 + size
    return Extent(start, at - start, end)

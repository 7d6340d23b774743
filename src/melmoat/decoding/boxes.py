"""The end of files for FFmpeg, according to their headers.

FFmpeg stops silently where such a file was cut, and usually where a second file follows. Sources:
ISO/IEC 14496-12, 4.2 (MP4); RFC 8794, section 4 (Matroska, WebM); Microsoft, *Advanced Systems
Format*, 2.1 (WMA); TTA1.
"""

from __future__ import annotations

from typing import BinaryIO

_EBML, _SEGMENT = 0x1A45DFA3, 0x18538067
_HEADS = {  # first bytes of a file, and how many of them a second file shares
    b"\x30\x26\xb2\x75": 16,
    b"TTA1": 14,
}


def end(file: BinaryIO) -> int | None:
    """The end of ``file`` in bytes according to its header; None if the header does not say."""
    size = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if head[4:8] == b"ftyp":
        return _mp4(file, size)
    if head[:4] == _EBML.to_bytes(4, "big"):
        return _matroska(file, size)
    if alike := _HEADS.get(head[:4]):
        file.seek(0)
        second = file.read().find(head[:alike], 1)
        return second if second > 0 else None
    return None


def _mp4(file: BinaryIO, end: int) -> int | None:
    at = 0
    while at + 8 <= end:
        file.seek(at)
        raw = file.read(16)
        size, kind = int.from_bytes(raw[:4], "big"), raw[4:8]
        if kind == b"ftyp" and at:
            return at
        if size == 1:  # the size is behind the name
            size = int.from_bytes(raw[8:], "big")
        if size < 8:  # 0: to the end
            return None
        at += size
    return at if at > end else None


def _matroska(file: BinaryIO, end: int) -> int | None:
    """The end of the last segment, of which there may be several."""
    at = 0
    while at < end:
        file.seek(at)
        name, body = _number(file, at, marked=True)
        size, body = _number(file, body, marked=False)
        if name not in (_EBML, _SEGMENT) or size is None:  # unknown: to the end
            return None
        at = body + size
    return at


def _number(file: BinaryIO, at: int, marked: bool) -> tuple[int | None, int]:
    """A number in EBML (its first bits give its length) and its end; None if all its bits are
    ones."""
    file.seek(at)
    first = int.from_bytes(file.read(1), "big")
    length = 9 - first.bit_length()
    if length > 8:
        return None, at + 1
    value = first << 8 * (length - 1) | int.from_bytes(file.read(length - 1), "big")
    ones = (1 << 7 * length) - 1
    if not marked:
        value &= ones
    return (None if value == ones and not marked else value), at + length

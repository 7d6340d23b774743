"""Files behind one another, of which FFmpeg reads the first alone.

Source: ISO/IEC 14496-12, 4.2 (MP4); Microsoft, *Advanced Systems Format*, 3.1 (WMA); TTA1.
"""

from __future__ import annotations

from typing import BinaryIO

_HEADS = {  # how a file begins, and how many bytes of that are alike in any other
    b"\x30\x26\xb2\x75": 16,
    b"TTA1": 14,
}


def left(file: BinaryIO) -> int:
    """Bytes from where a second file begins; 0 where none does, or its format does not tell."""
    end = file.seek(0, 2)
    file.seek(0)
    head = file.read(16)
    if head[4:8] == b"ftyp":
        return _mp4(file, end)
    if size := _HEADS.get(head[:4]):
        file.seek(0)
        second = file.read().find(head[:size], 1)
        return end - second if second > 0 else 0
    return 0


def _mp4(file: BinaryIO, end: int) -> int:
    at = 0
    while at + 8 <= end:
        file.seek(at)
        raw = file.read(16)
        size, kind = int.from_bytes(raw[:4], "big"), raw[4:8]
        if kind == b"ftyp" and at:
            return end - at
        if size == 1:  # the size is behind the name
            size = int.from_bytes(raw[8:], "big")
        if size < 8:  # 0: to the end
            return 0
        at += size
    return 0

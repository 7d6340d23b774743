"""The links of an Ogg file, and a check of its pages.

Ogg files can be joined. Each part is a *link* with its own header, and decoders may stop at the end
of the first one. They also skip missing or damaged pages. Source: RFC 3533, section 6.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

_FIRST, _LAST = 2, 4  # flags of a page
_MIRROR = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True)
class Layout:
    """The layout of a file.

    Args:
        links: start and end of each link, bytes.
        junk: bytes outside of pages.
        torn: whether the last page is cut.
        broken: pages that are missing or changed.
        open: whether the last page of a link is not marked as the last.
    """

    links: list[tuple[int, int]]
    junk: int
    torn: bool
    broken: int = 0
    open: bool = False


def layout(data: bytes) -> Layout:
    """The links of ``data``, a whole file."""
    links: list[list[int]] = []
    at = junk = broken = 0
    heads = False  # whether the page before was the first one of its stream
    numbers: dict[bytes, int] = {}  # of the next page of each stream, by its serial number
    going: set[bytes] = set()  # streams whose last page has not come
    while (start := data.find(b"OggS", at)) >= 0:
        junk += start - at
        size = _size(data, start)
        if size is None or start + size > len(data):
            return Layout([(a, b) for a, b in links], junk, True)
        page = data[start : start + size]
        flags, stream = page[5], page[14:18]
        number = int.from_bytes(page[18:22], "little")
        first = bool(flags & _FIRST)
        if not links or (first and not heads):
            links.append([start, start])
        broken += int.from_bytes(page[22:26], "little") != checksum(page)
        if not first and number > numbers.get(stream, number):
            broken += number - numbers[stream]
        numbers[stream] = number + 1
        (going.discard if flags & _LAST else going.add)(stream)
        heads, at = first, start + size
        links[-1][1] = at
    left = junk + len(data) - at
    return Layout([(a, b) for a, b in links], left, False, broken, bool(going))


def checksum(page: bytes) -> int:
    """CRC of a page: polynomial 0x04C11DB7, from 0, its own field taken for zeros.

    zlib has the same with bits in the other order, and inverted before and after.
    """
    mirrored = (page[:22] + bytes(4) + page[26:]).translate(_MIRROR)
    return int(f"{zlib.crc32(mirrored, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)


def _size(data: bytes, at: int) -> int | None:
    """Bytes of the page at ``at``; None if its head is cut."""
    if at + 27 > len(data):
        return None
    count = data[at + 26]
    table = data[at + 27 : at + 27 + count]
    return 27 + count + sum(table) if len(table) == count else None

"""Where the links of an Ogg file lie.

Ogg files can be joined; each part is a *link* with a header of its own, and decoders may stop at
the end of the first one. Source: RFC 3533, sections 4 and 6.
"""

from __future__ import annotations

from dataclasses import dataclass

_FIRST, _LAST = 2, 4  # flags of a page


@dataclass(frozen=True)
class Layout:
    """Of a file.

    Args:
        links: where each begins and ends, bytes.
        junk: bytes that are no page.
        torn: whether the last page is cut.
    """

    links: list[tuple[int, int]]
    junk: int
    torn: bool


def layout(data: bytes) -> Layout:
    """The links of ``data``, a whole file."""
    links: list[list[int]] = []
    at = junk = 0
    heads = False  # whether the page before was the first one of its stream
    while (found := data.find(b"OggS", at)) >= 0:
        junk += found - at
        size = _size(data, found)
        if size is None or found + size > len(data):
            return Layout([(a, b) for a, b in links], junk, True)
        first = bool(data[found + 5] & _FIRST)
        if not links or (first and not heads):
            links.append([found, found])
        heads, at = first, found + size
        links[-1][1] = at
    return Layout([(a, b) for a, b in links], junk + len(data) - at, False)


def _size(data: bytes, at: int) -> int | None:
    """Bytes of the page at ``at``; None where its head is cut."""
    if at + 27 > len(data):
        return None
    count = data[at + 26]
    table = data[at + 27 : at + 27 + count]
    return 27 + count + sum(table) if len(table) == count else None

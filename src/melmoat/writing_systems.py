"""Scripts that are written without spaces between words.

Their texts have no visible words to count, so errors are counted in characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_RANGES = (
    "\u0e01-\u0eff"  # Thai, Lao
    "\u0f00-\u0fff"  # Tibetan, whose mark stands between syllables
    "\u1000-\u109f\ua9e0-\ua9fe\uaa60-\uaadf"  # Burmese, Shan, Tai Viet
    "\u1780-\u17ff"  # Khmer
    "\u1950-\u19df\u1a20-\u1aad"  # Tai Le, New Tai Lue, Tai Tham
    "\u1b00-\u1b7f\ua980-\ua9df"  # Balinese, Javanese
    "\u3005-\u3007\u3021-\u3029\u3038-\u303c"  # signs and numerals among the ideographs
    "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"  # kana
    "\u3105-\u312f\u31a0-\u31bf"  # bopomofo
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # ideographs
)
_UNSPACED = re.compile(f"[{_RANGES}]")
_SPACES = re.compile(rf"(?<=[{_RANGES}])\s+|\s+(?=[{_RANGES}])")


def unspaced(*texts: str) -> bool:
    """Whether most letters of ``texts`` belong to scripts without spaces between words.

    >>> unspaced("\u6253\u5f00\u95e8"), unspaced("open the door"), unspaced("")
    (True, False, False)
    """
    return mostly(map(letters, texts))


def letters(text: str) -> tuple[int, int]:
    """The number of letters of ``text`` in scripts without spaces, and of all its letters."""
    every = "".join(filter(str.isalpha, text))
    return 0 if every.isascii() else len(_UNSPACED.findall(every)), len(every)


def mostly(counts: Iterable[tuple[int, int]]) -> bool:
    """Whether more than half of all letters are in scripts without spaces, by :func:`letters`."""
    share = 0
    for some, every in counts:
        share += 2 * some - every
    return share > 0


def tight(text: str) -> str:
    """If most of ``text`` is in scripts without spaces, remove the spaces beside their letters. In
    such a text a space shows only how it was segmented.

    >>> tight("\u6253\u5f00 \u95e8"), tight("say \u6253\u5f00 now")
    ('\u6253\u5f00\u95e8', 'say \u6253\u5f00 now')
    """
    return _SPACES.sub("", text) if unspaced(text) else text

"""Text as the recognizers write it, and as label indices."""

from __future__ import annotations

import re
import unicodedata

import torch
from torch import Tensor

from melmoat.errors import MelmoatError

LABELS = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "  # deepspeech.pytorch: blank 0, apostrophe 1, A 2, space 28


_BREAK = re.compile(r"[-\u2010-\u2015/_]")


class TextError(MelmoatError):
    """A text that a recognizer's labels cannot write."""


def normalise(text: str) -> str:
    """Upper case, accents removed, hyphens to spaces, other punctuation dropped, spaces collapsed.

    >>> normalise("It\u2019s  a caf\u00e9\u2014well-known!")
    "IT'S A CAFE WELL KNOWN"
    """
    text = unicodedata.normalize("NFKD", text).replace("\u2019", "'").upper()
    text = _BREAK.sub(" ", text)
    kept = "".join(c for c in text if c.isalnum() or c in "' ")
    return " ".join(kept.split())


def same_text(text: str, other: str) -> bool:
    """Whether two spellings, by whatever case, accents and punctuation, are of one text.

    >>> same_text("It\u2019s a caf\u00e9.", "ITS A CAFE")
    True
    """
    return normalise(text).replace("'", "") == normalise(other).replace("'", "")


def spell(text: str, labels: str) -> str:
    """``text`` in the characters of ``labels``: a letter in the case, and with the accents, that
    they have it in; hyphens as spaces and other punctuation dropped where they have none.

    Letters and digits that they cannot write in any form stay, for :func:`encode` to name.

    >>> spell("Caf\u00e9-Bar!", "_ABCEFR\u00c9 ")
    'CAF\u00c9 BAR'
    >>> spell("Caf\u00e9-Bar!", LABELS)
    'CAFE BAR'
    """
    known = set(labels[1:])
    written = unicodedata.normalize("NFC", " ".join(text.split()))
    return " ".join("".join(_spelled(c, known) for c in written).split())


def _spelled(letter: str, known: set[str]) -> str:
    plain = "".join(
        c for c in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(c)
    )
    other = {"\u2019": "'", "'": "\u2019"}.get(letter, "")  # either may be the apostrophe
    forms = (letter, letter.upper(), letter.lower(), plain.upper(), plain.lower(), other)
    for form in forms:
        if form and set(form) <= known:
            return form
    if letter.isalnum():
        return letter
    return " " if _BREAK.fullmatch(letter) else ""


def encode(text: str, labels: str = LABELS) -> Tensor:
    """Indices of ``text``'s characters in ``labels``. Shape: ``[len(text)]``, int64.

    Raises:
        TextError: a character that is not among the labels (write digits as words).
    """
    index = {c: i for i, c in enumerate(labels) if i > 0}
    unknown = sorted({c for c in text if c not in index})
    if unknown:
        raise TextError(
            f"{text!r}: this recognizer cannot write {unknown}; it writes {labels[1:]!r} "
            "(spell numbers as words)"
        )
    return torch.tensor([index[c] for c in text], dtype=torch.long)

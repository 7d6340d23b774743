"""Text as the recognizers write it, and as label indices."""

from __future__ import annotations

import re
import unicodedata

import torch
from torch import Tensor

from melmoat.errors import MelmoatError

LABELS = "_'ABCDEFGHIJKLMNOPQRSTUVWXYZ "  # deepspeech.pytorch: blank 0, apostrophe 1, A 2, space 28


class TextError(MelmoatError):
    """A text that a recognizer's labels cannot write."""


def normalise(text: str) -> str:
    """Upper case, accents removed, hyphens to spaces, other punctuation dropped, spaces collapsed.

    >>> normalise("It\u2019s  a caf\u00e9\u2014well-known!")
    "IT'S A CAFE WELL KNOWN"
    """
    text = unicodedata.normalize("NFKD", text).replace("\u2019", "'").upper()
    text = re.sub(r"[-\u2010-\u2015/_]", " ", text)
    kept = "".join(c for c in text if c.isalnum() or c in "' ")
    return " ".join(kept.split())


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

"""Differences between the reference and the transcript, word by word."""

from __future__ import annotations

from typing import NamedTuple

import jiwer

from melmoat.writing_systems import unspaced


class Piece(NamedTuple):
    """Words that agree (``said == heard``), were deleted, inserted, or replaced."""

    said: str
    heard: str

    @property
    def kind(self) -> str:
        """``same``, ``left out``, ``put in`` or ``replaced``."""
        if self.said == self.heard:
            return "same"
        if not self.heard:
            return "left out"
        return "replaced" if self.said else "put in"


def text_diff(reference: str, hypothesis: str) -> list[Piece]:
    """:func:`word_diff`, or the same character by character where texts have no words to see.

    >>> [tuple(p) for p in text_diff("\u6253\u5f00\u95e8", "\u6253\u5f00\u7a97")]
    [('\u6253\u5f00', '\u6253\u5f00'), ('\u95e8', '\u7a97')]
    """
    if not unspaced(reference):
        return word_diff(reference, hypothesis)
    apart = word_diff(*(" ".join("".join(text.split())) for text in (reference, hypothesis)))
    return [Piece(*("".join(part.split()) for part in piece)) for piece in apart]


def word_diff(reference: str, hypothesis: str) -> list[Piece]:
    """The alignment with the fewest edits, in the order of the words.

    >>> [tuple(p) for p in word_diff("GO TO ENTER SIX", "GO SIX")]
    [('GO', 'GO'), ('TO ENTER', ''), ('SIX', 'SIX')]
    """
    words, transcribed = reference.split(), hypothesis.split()
    if not words or not transcribed:  # jiwer refuses an empty reference
        return [Piece(" ".join(words), " ".join(transcribed))] if words or transcribed else []
    (chunks,) = jiwer.process_words(" ".join(words), " ".join(transcribed)).alignments
    return [
        Piece(
            " ".join(words[c.ref_start_idx : c.ref_end_idx]),
            " ".join(transcribed[c.hyp_start_idx : c.hyp_end_idx]),
        )
        for c in chunks
    ]

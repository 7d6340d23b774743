"""Word and character errors as counts, so that corpus rates are exact for any split of the work."""

from __future__ import annotations

from collections.abc import Iterable

import jiwer

from melmoat.writing_systems import mostly

METRICS = {"words": "WER", "chars": "CER"}  # the rate of errors in a unit


def word_edits(reference: str, hypothesis: str) -> tuple[int, int]:
    """Fewest word substitutions, insertions and deletions, and the words of the reference.

    >>> word_edits("GO ENTER SIX", "GO SIX TEN")
    (2, 3)
    >>> word_edits("", "NOISE")
    (1, 0)
    """
    return _edits(reference.split(), hypothesis.split())


def char_edits(reference: str, hypothesis: str) -> tuple[int, int]:
    """As :func:`word_edits` in characters, spaces included.

    >>> char_edits("GO", "GONE")
    (2, 2)
    """
    return _edits(list(reference), list(hypothesis))


def word_operations(reference: str, hypothesis: str) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions of the fewest word edits.

    >>> word_operations("GO ENTER SIX", "GO SIX TEN")
    (2, 0, 0)
    >>> word_operations("GO", "GO NOW"), word_operations("", "NOISE")
    ((0, 0, 1), (0, 0, 1))
    """
    words, heard = reference.split(), hypothesis.split()
    if not words:  # jiwer refuses an empty reference
        return 0, 0, len(heard)
    out = _alignment(words, heard)
    return out.substitutions, out.deletions, out.insertions


def unit_of(counts: Iterable[tuple[int, int]]) -> str:
    """The unit of errors: characters if most letters of the references belong to scripts without
    spaces between words (:func:`melmoat.writing_systems.letters`), else words."""
    return "chars" if mostly(counts) else "words"


def _edits(reference: list[str], hypothesis: list[str]) -> tuple[int, int]:
    if not reference:  # jiwer refuses an empty reference
        return len(hypothesis), 0
    return _aligned(reference, hypothesis), len(reference)


def _aligned(reference: list[str], hypothesis: list[str]) -> int:
    out = _alignment(reference, hypothesis)
    return out.substitutions + out.insertions + out.deletions


def _alignment(reference: list[str], hypothesis: list[str]) -> jiwer.CharacterOutput:
    # One private-use character a token lets jiwer's character alignment count any token.
    code = {t: chr(0xE000 + i) for i, t in enumerate(dict.fromkeys([*reference, *hypothesis]))}
    return jiwer.process_characters(
        "".join(code[t] for t in reference), "".join(code[t] for t in hypothesis)
    )

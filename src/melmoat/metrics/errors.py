"""Word and character errors as counts, so that corpus rates are exact for any split of the work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

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
    chunks = alignment(reference.split(), hypothesis.split())
    substituted, deleted, inserted = (
        sum(_edits_of(chunk) for chunk in chunks if chunk.type == kind)
        for kind in ("substitute", "delete", "insert")
    )
    return substituted, deleted, inserted


def unit_of(counts: Iterable[tuple[int, int]]) -> str:
    """The unit of errors: characters if most letters of the references belong to scripts without
    spaces between words (:func:`melmoat.writing_systems.letters`), else words."""
    return "chars" if mostly(counts) else "words"


def _edits(reference: list[str], hypothesis: list[str]) -> tuple[int, int]:
    chunks = alignment(reference, hypothesis)
    return sum(_edits_of(chunk) for chunk in chunks), len(reference)


def alignment(reference: list[str], hypothesis: list[str]) -> list[jiwer.AlignmentChunk]:
    """The alignment with the fewest edits: parts that are equal, replaced, left out or put in."""
    if not reference:  # jiwer refuses an empty reference
        return [jiwer.AlignmentChunk("insert", 0, 0, 0, len(hypothesis))] if hypothesis else []
    said, heard = as_letters([reference, hypothesis])
    (chunks,) = jiwer.process_characters(said, heard).alignments
    return list(chunks)


def as_letters(texts: Iterable[Sequence[str]]) -> list[str]:
    """Each list of tokens as a text with one letter a token, the same in all: so edits of letters
    are edits of tokens."""
    code: dict[str, str] = {}
    return [
        "".join(code.setdefault(token, chr(0xE000 + len(code))) for token in tokens)
        for tokens in texts
    ]


def _edits_of(chunk: jiwer.AlignmentChunk) -> int:
    lengths = chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
    return 0 if chunk.type == "equal" else max(lengths)

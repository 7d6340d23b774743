"""Differences between the reference and the transcript, aligned as errors are counted.

Errors are counted after a recognizer's normaliser. So texts are aligned after it too, and shown as
they were heard: "Mr. Smith's" agrees with "MISTER SMITH'S".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

from melmoat.errors import MelmoatError
from melmoat.metrics.errors import alignment
from melmoat.normalisers import Normaliser, by_name
from melmoat.text import canonical

COUNTED_AS_WRITTEN = Normaliser("canonical", canonical)  # rows without the name of a normaliser


class Piece(NamedTuple):
    """Parts of the reference and of the transcript that belong together. Either may be empty."""

    said: str
    heard: str
    same: bool

    @property
    def kind(self) -> str:
        """``same``, ``left out``, ``put in`` or ``replaced``."""
        if self.same:
            return "same"
        if not self.heard:
            return "left out"
        return "replaced" if self.said else "put in"


class _Part(NamedTuple):
    """A part of a text, and the end of its tokens in the normalised text."""

    raw: str
    end: int


def row_diff(row: Mapping[str, Any], which: str, unit: str) -> Sequence[Piece] | None:
    """The differences between a row's reference and one of its transcripts.

    Args:
        which: ``adversarial`` or ``benign``.
        unit: the unit of errors, ``words`` or ``chars``.

    Returns:
        The pieces in the order of the text. None if this alignment would not have the errors that
        the row counts: its normaliser is not known here.
    """
    errors = row["counts"][which][unit][0]
    if not errors:
        return [Piece(row["reference"], row[which], True)]
    rule = _rule(row.get("normaliser"))
    if rule is None:
        return None
    pieces, found = _diff(row["reference"], row[which], rule, unit)
    return pieces if found == errors else None


def text_diff(
    reference: str, hypothesis: str, rule: Normaliser = COUNTED_AS_WRITTEN, unit: str = "words"
) -> Sequence[Piece]:
    """The alignment with the fewest edits after ``rule``, in the order of the text.

    >>> [tuple(p)[:2] for p in text_diff("GO TO ENTER SIX", "GO SIX")]
    [('GO', 'GO'), ('TO ENTER', ''), ('SIX', 'SIX')]
    """
    return _diff(reference, hypothesis, rule, unit)[0]


@lru_cache(maxsize=32)
def _rule(name: str | None) -> Normaliser | None:
    if name is None:
        return COUNTED_AS_WRITTEN
    try:
        return by_name(name)
    except MelmoatError:  # an own one, one with spellings of a model, or transformers is missing
        return None


@lru_cache(maxsize=4096)
def _diff(said: str, heard: str, rule: Normaliser, unit: str) -> tuple[tuple[Piece, ...], int]:
    """The pieces and the number of errors."""
    ours, theirs = _parts(said, rule, unit), _parts(heard, rule, unit)
    cuts = [{0, *(part.end for part in parts)} for parts in (ours, theirs)]
    space = " " if unit == "words" else ""
    pieces: list[Piece] = []
    errors, same = 0, True
    for x, y, equal in _steps(*(_tokens(rule, text, unit) for text in (said, heard))):
        errors, same = errors + (not equal), same and equal
        if x in cuts[0] and y in cuts[1]:
            _add(pieces, Piece(_taken(ours, x, space), _taken(theirs, y, space), same), space)
            same = True
    if ours or theirs:  # parts without any token
        said, heard = (space.join(part.raw for part in parts) for parts in (ours, theirs))
        pieces.append(Piece(said, heard, True))
    return tuple(pieces), errors


def _steps(reference: list[str], hypothesis: list[str]) -> Iterator[tuple[int, int, bool]]:
    """How many tokens of each text are behind us after each step, and whether the step agrees."""
    for chunk in alignment(reference, hypothesis):
        x, y = chunk.ref_start_idx, chunk.hyp_start_idx
        while (x, y) != (chunk.ref_end_idx, chunk.hyp_end_idx):
            x, y = min(x + 1, chunk.ref_end_idx), min(y + 1, chunk.hyp_end_idx)
            yield x, y, chunk.type == "equal"


def _taken(parts: list[_Part], tokens: int, space: str) -> str:
    """The text of the parts up to so many tokens; they are removed from ``parts``."""
    taken = [part for part in parts if part.end <= tokens]
    del parts[: len(taken)]
    return space.join(part.raw for part in taken)


def _add(pieces: list[Piece], piece: Piece, space: str) -> None:
    """Append ``piece``, or extend the last one if it is of the same kind."""
    if pieces and pieces[-1].kind == piece.kind:
        last = pieces.pop()
        said = space.join(filter(None, [last.said, piece.said]))
        heard = space.join(filter(None, [last.heard, piece.heard]))
        piece = Piece(said, heard, piece.same)
    pieces.append(piece)


def _parts(text: str, rule: Normaliser, unit: str) -> list[_Part]:
    """The smallest parts of ``text`` whose tokens can be told.

    A normaliser may join words ("twenty one" becomes "21"), drop them, or make two of one. So a
    part is as many words as it takes until the tokens before and after are those of the whole.
    Words without a token belong to the part before them, or to the first one.
    """
    raw = text.split() if unit == "words" else list(" ".join(text.split()))
    space = " " if unit == "words" else ""
    parts: list[_Part] = []
    pending: list[str] = []
    for word, end in zip(raw, _token_ends(raw, rule, unit), strict=True):
        pending.append(word)
        last = parts[-1].end if parts else 0
        if end is None or end < last or (end == 0 and not parts):
            continue
        joined = space.join(pending)
        pending = []
        if parts and end == last:
            parts[-1] = _Part(space.join([parts[-1].raw, joined]), end)
        else:
            parts.append(_Part(joined, end))
    if pending:
        parts.append(_Part(space.join(pending), len(_tokens(rule, text, unit))))
    return parts


def _token_ends(raw: Sequence[str], rule: Normaliser, unit: str) -> list[int | None]:
    """The number of tokens up to each word (or character); None where it cannot be told."""
    space = " " if unit == "words" else ""
    whole = _tokens(rule, space.join(raw), unit)
    alone = [_tokens(rule, word, unit) for word in raw]
    if [token for tokens in alone for token in tokens] == whole:
        return list(accumulate(len(tokens) for tokens in alone))
    ends: list[int | None] = []
    for i in range(1, len(raw)):
        before, after = (_tokens(rule, space.join(part), unit) for part in (raw[:i], raw[i:]))
        if before + after == whole:
            ends.append(len(before))
        elif unit == "chars" and [*before, " ", *after] == whole:
            ends.append(len(before) + 1)
        else:
            ends.append(None)
    return [*ends, len(whole)]


@lru_cache(maxsize=2**15)
def _normalised(rule: Normaliser, text: str) -> str:
    return rule(text)


def _tokens(rule: Normaliser, text: str, unit: str) -> list[str]:
    normalised = _normalised(rule, text)
    return normalised.split() if unit == "words" else list(normalised)

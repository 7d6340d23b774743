"""A user's own corpus."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lhotse import CutSet

from melmoat import custom
from melmoat.data.entries import CorpusError, Entry, cuts_of
from melmoat.data.manifests import entries_of
from melmoat.facts import rests_on


@rests_on(custom.origin)
def python(target: str, **options: str) -> CutSet:
    """Your own corpus: ``python:MODULE:FACTORY,part=test`` calls FACTORY(part="test").

    The factory returns pairs of an audio file's path and its text, or a CutSet of Lhotse with a
    recording and a supervision in each cut. The id of a pair is its file's name without folder and
    suffix.
    """
    made = custom.make(target, options)
    place = Path(target)
    entries = entries_of(made, place) if isinstance(made, CutSet) else _entries(target, made)
    return cuts_of(entries, place)


def _entries(target: str, made: object) -> list[Entry]:
    entries = []
    for i, pair in enumerate(made if isinstance(made, Iterable) else [made]):
        match pair:
            case (str() | Path() as path, str() as text):
                file = Path(path)
                entries.append(Entry(file.stem, text, file, f"item {i}"))
            case _:
                raise CorpusError(
                    f"python:{target}: item {i} is a {type(pair).__name__}; expected pairs of an "
                    "audio file's path and its text, or a CutSet (docs/corpora.md)"
                )
    return entries

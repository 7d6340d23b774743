"""Corpora as Lhotse CutSets, by spec string."""

from melmoat.data.corpora import (
    CORPORA,
    describe,
    fetch,
    listings,
    load,
    read,
    recording,
    same_speech,
    written,
)

__all__ = [
    "CORPORA",
    "describe",
    "fetch",
    "listings",
    "load",
    "read",
    "recording",
    "same_speech",
    "written",
]

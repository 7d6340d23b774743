"""Corpora as Lhotse CutSets, by spec string."""

from melmoat.data.corpora import CORPORA, describe, fetch, listed, load, same_speech
from melmoat.data.entries import fault, whole, written
from melmoat.data.layouts import listings
from melmoat.data.waveforms import fingerprint, read, recording

__all__ = [
    "CORPORA",
    "describe",
    "fault",
    "fetch",
    "fingerprint",
    "listed",
    "listings",
    "load",
    "read",
    "recording",
    "same_speech",
    "whole",
    "written",
]

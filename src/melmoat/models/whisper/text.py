"""Text in Whisper's spelling, and its normalisers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from melmoat.normalisers import Normaliser, WhisperChoice, by_name, full_name
from melmoat.text import capitals

TURKIC = ("az", "tr")  # of Whisper's languages, those with a dotless i


def normaliser_name(
    english: bool,
    spelling: Mapping[str, str],
    language: str | None = None,
    asked: WhisperChoice = "auto",
) -> str:
    """The name of :func:`normaliser`'s result."""
    return full_name(_chosen(english, language, asked), spelling)


def normaliser(
    english: bool,
    spelling: Mapping[str, str],
    language: str | None = None,
    asked: WhisperChoice = "auto",
) -> Normaliser:
    """The normaliser for Whisper's transcripts.

    Args:
        english: whether they are in English. Then Whisper's published normaliser is the default.
            For other languages the published one splits words at their vowel signs. So the default
            is ``basic``, which keeps these signs, or ``turkish``.
        spelling: American for British spellings, from a model's ``normalizer.json``; empty if there
            is no such file.
        language: the spoken language, if known.
        asked: another normaliser by name; ``whisper`` is the published one of the language.

    Raises:
        MelmoatError: transformers is not installed.
    """
    return by_name(_chosen(english, language, asked), spelling)


def _chosen(english: bool, language: str | None, asked: str) -> str:
    if asked == "whisper":
        return "whisper-english" if english else "whisper-basic"
    if asked != "auto":
        return asked
    if english:
        return "whisper-english"
    return "turkish" if language in TURKIC else "basic"


def written(text: str) -> str:
    """A text in capitals only, as in many corpora, becomes a sentence; any other is unchanged.

    A loss needs text in the recognizer's spelling, and Whisper does not write capitals only.

    >>> written("HOW OLD AM I"), written("It's me."), written("")
    ('How old am I', "It's me.", '')
    """
    if text == text.lower() or text not in (text.upper(), capitals(text)):
        return text
    return re.sub(r"\bi\b", "I", text[:1] + text[1:].lower())

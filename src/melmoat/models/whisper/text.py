"""Text as Whisper writes it, and what is left of it when transcripts are compared."""

from __future__ import annotations

import re
from collections.abc import Mapping

from melmoat.normalisers import Normaliser, WhisperChoice, full_name, named
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
    """What Whisper's transcripts are compared by.

    Args:
        english: whether they are in English, for which its published normaliser is the default.
            For other languages that one takes words apart at their vowel signs, so the default is
            ``basic``, the same with these kept, or ``turkish``.
        spelling: American for British spellings, which a model's ``normalizer.json`` holds; none
            where it has no such file.
        language: what is spoken, where that is known.
        asked: another one by name; ``whisper`` is the published one of the language.

    Raises:
        MelmoatError: transformers is not installed.
    """
    return named(_chosen(english, language, asked), spelling)


def _chosen(english: bool, language: str | None, asked: str) -> str:
    if asked == "whisper":
        return "whisper-english" if english else "whisper-basic"
    if asked != "auto":
        return asked
    if english:
        return "whisper-english"
    return "turkish" if language in TURKIC else "basic"


def written(text: str) -> str:
    """A text in capitals alone, as corpora have it, as a sentence; any other as it is.

    A loss is meant for text as the recognizer writes it: capitals alone are strange to Whisper.

    >>> written("HOW OLD AM I"), written("It's me."), written("")
    ('How old am I', "It's me.", '')
    """
    if text == text.lower() or text not in (text.upper(), capitals(text)):
        return text
    return re.sub(r"\bi\b", "I", text[:1] + text[1:].lower())

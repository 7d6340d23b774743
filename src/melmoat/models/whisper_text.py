"""Text as Whisper writes it, and what is left of it when transcripts are compared."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from melmoat.errors import MelmoatError


@dataclass(frozen=True)
class Normaliser:
    """Brings a reference and a transcript to one spelling before errors are counted.

    Args:
        name: says which it is, in result files and in the key of a cell.
        rule: from text to text.
    """

    name: str
    rule: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return " ".join(self.rule(text).split())


def normaliser_name(english: bool, spelling: Mapping[str, str]) -> str:
    """The name of :func:`normaliser`'s result. The British spellings it maps count by content."""
    if not english:
        return "whisper-basic"
    if not spelling:
        return "whisper-english"
    text = json.dumps(dict(spelling), sort_keys=True)
    return f"whisper-english+spelling-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def normaliser(english: bool, spelling: Mapping[str, str]) -> Normaliser:
    """Whisper's own normaliser as transformers ships it (Radford et al. 2022, appendix C).

    Args:
        english: contractions, numbers and titles are written one way; otherwise only case,
            punctuation and brackets go.
        spelling: American for British spellings, which a model's ``normalizer.json`` holds; none
            where it has no such file.

    Raises:
        MelmoatError: transformers is not installed.
    """
    try:
        from transformers.models.whisper import english_normalizer as published
    except ImportError as error:
        raise MelmoatError('Whisper needs transformers: pip install "melmoat[hf]"') from error
    if english:
        rule = published.EnglishTextNormalizer(dict(spelling))
    else:
        rule = published.BasicTextNormalizer()
    return Normaliser(normaliser_name(english, spelling), rule)


def written(text: str) -> str:
    """A text in capitals alone, as corpora have it, as a sentence; any other as it is.

    A loss is meant for text as the recognizer writes it: capitals alone are strange to Whisper.

    >>> written("HOW OLD AM I"), written("It's me."), written("")
    ('How old am I', "It's me.", '')
    """
    if text != text.upper() or text == text.lower():
        return text
    return re.sub(r"\bi\b", "I", text[:1] + text[1:].lower())

"""Normalisers bring references and transcripts to one spelling before errors are counted.

A recognizer chooses its normaliser, and every row has its name. All normalisers except ``none`` and
Whisper's two published ones unify Unicode's spellings of the same letters, and remove spaces if the
script has none (:mod:`melmoat.writing_systems`).
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from melmoat.errors import MelmoatError, extra
from melmoat.text import BREAK, apostrophes, canonical, words_of

# Points of Hebrew, vowels and other points of Arabic (not the marks that make a letter another),
# and the stroke that only makes a word longer.
_POINTS = re.compile(
    "[\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u0652"
    "\u0656-\u065f\u0670\u06d6-\u06dc\u06df-\u06e4\u06e7\u06e8\u06ea-\u06ed]"
)

Choice = Literal[
    "auto", "basic", "none", "plain", "turkish", "unpointed", "whisper-basic", "whisper-english"
]
WhisperChoice = Literal[Choice, "whisper"]  # the published one of the language


@dataclass(frozen=True)
class Normaliser:
    """Brings a reference and a transcript to one spelling before errors are counted.

    Args:
        name: its name in result files and in the key of a cell.
        rule: a function from text to text.
    """

    name: str
    rule: Callable[[str], str]

    def __call__(self, text: str) -> str:
        return " ".join(self.rule(text).split())


def plain(text: str) -> str:
    """Case and punctuation removed, hyphens as spaces; apostrophes and all marks stay.

    >>> plain("It's a caf\u00e9\u2014WELL-known!")
    "it's a caf\u00e9 well known"
    """
    text = BREAK.sub(" ", _small(apostrophes(text, "NFKC")))
    return canonical(words_of(text, keep="'"))


def basic(text: str) -> str:
    """As Whisper's normaliser for other languages than English, with the marks of letters kept.

    Case, brackets with their contents, and punctuation are removed; each sign becomes a space.

    >>> basic("L'\u00e9t\u00e9 (bis)!")
    'l \u00e9t\u00e9'
    """
    text = re.sub(r"[<\[][^>\]]*[>\]]|\(([^)]+?)\)", "", _small(text))
    text = unicodedata.normalize("NFKC", text).replace("\u02bc", "'")  # which counts as a letter
    return canonical(words_of(_small(text), instead=" "))


def _small(text: str) -> str:
    """Lower case; both small forms of sigma become one."""
    text = unicodedata.normalize("NFC", text)  # a capital I and its dot may stand apart
    return text.replace("\u0130", "i").lower().replace("\u03c2", "\u03c3")


def turkish(text: str) -> str:
    """As :func:`basic`, but with the dotted and the dotless i of Turkish and similar languages.

    >>> turkish("ISPARTA \u0130L\u0130") == turkish("\u0131sparta ili")
    True
    """
    text = unicodedata.normalize("NFC", text)
    return basic(text.replace("I", "\u0131").replace("\u0130", "i"))


def unpointed(text: str) -> str:
    """As :func:`basic`, without the points of Arabic and Hebrew, which most texts leave out.

    >>> unpointed("\u05e9\u05c1\u05dc\u05d5\u05b9\u05dd") == "\u05e9\u05dc\u05d5\u05dd"
    True
    """
    return canonical(_POINTS.sub("", unicodedata.normalize("NFC", basic(text))))


RULES: dict[str, Callable[[str], str]] = {
    "basic": basic,
    "none": str,
    "plain": plain,
    "turkish": turkish,
    "unpointed": unpointed,
}
PUBLISHED = ("whisper-basic", "whisper-english")


def full_name(name: str, spelling: Mapping[str, str]) -> str:
    """The full name of a normaliser of :func:`by_name`: it includes a digest of its spellings."""
    if name != "whisper-english" or not spelling:
        return name
    text = json.dumps(dict(spelling), sort_keys=True)
    return f"{name}+spelling-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def by_name(name: str, spelling: Mapping[str, str] | None = None) -> Normaliser:
    """The normaliser of this name.

    Whisper's normalisers are those of transformers (Radford et al. 2022, appendix C).
    ``whisper-english`` unifies contractions, numbers and titles. ``whisper-basic`` replaces each
    separate mark by a space, which splits words of Hindi or Thai.

    Args:
        spelling: American for British spellings, for ``whisper-english``.

    Raises:
        MelmoatError: the name is unknown, or transformers is not installed.
    """
    if name in RULES:
        return Normaliser(name, RULES[name])
    if name not in PUBLISHED:
        known = ", ".join(sorted([*RULES, *PUBLISHED]))
        raise MelmoatError(f"unknown normaliser {name!r}; known: {known}")
    with extra("hf", f"the normaliser {name}"):
        from transformers.models.whisper import english_normalizer as published
    if name == "whisper-basic":
        return Normaliser(name, published.BasicTextNormalizer())
    rule = published.EnglishTextNormalizer(dict(spelling or {}))
    return Normaliser(full_name(name, spelling or {}), rule)


def of(choice: Any) -> Normaliser:
    """The normaliser of a recognizer, from a name, a :class:`Normaliser`, or a function of a text.

    Raises:
        MelmoatError: it is none of these.
    """
    if isinstance(choice, Normaliser):
        return choice
    if isinstance(choice, str):
        return by_name(choice)
    if not callable(choice):
        raise MelmoatError(
            f"a normaliser is a name or a function of a text, got a {type(choice).__name__} "
            "(docs/recognizers.md)"
        )
    return Normaliser(getattr(choice, "name", getattr(choice, "__name__", "own")), choice)

"""Language models: how likely a word is after others."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from melmoat.errors import MelmoatError, extra
from melmoat.models.words.lexicon import Floats
from melmoat.weights import package_folder

START, END = -1, -2  # of a sentence, where a word's index is asked for
INSTALL = 'pip install "melmoat[words]"'
WORD = re.compile(r"([a-z']+[-.]*)+")  # not <s>, </s>, <sil>, [NOISE]


class LanguageModel(Protocol):
    """The probability of each word of a sentence, given those before it."""

    def log_prob(self, word: int, before: tuple[int, ...]) -> float:
        """Natural logarithm.

        Args:
            word: its index, or ``END``.
            before: the last words, at most two, the latest last; the first may be ``START``.
        """
        ...


class Trigrams:
    """The US English trigrams of pocketsphinx: 72,546 words of its lexicon, mostly of speech.

    Attributes:
        words: in small letters, the commonest first.
        unigrams: the natural logarithm of each one's probability. Shape: ``[W]``.
        pronunciations: of each word, in the phonemes of CMUdict without stress.
    """

    def __init__(self, model: Any, scale: float, lexicon: dict[str, list[tuple[str, ...]]]) -> None:
        self._model, self._scale = model, scale
        unknown = model.prob([""])
        found = {word: model.prob([word]) for word in lexicon}
        known = [word for word, value in found.items() if value != unknown]
        self.words = tuple(sorted(known, key=lambda word: (-found[word], word)))
        self.unigrams: Floats = np.array([found[word] for word in self.words]) * scale
        self.pronunciations = {word: lexicon[word] for word in self.words}

    def log_prob(self, word: int, before: tuple[int, ...]) -> float:
        """As :meth:`LanguageModel.log_prob`."""
        names = ["</s>" if word == END else self.words[word]]
        names += ["<s>" if one == START else self.words[one] for one in reversed(before)]
        return float(self._model.prob(names)) * self._scale

    def __reduce__(self) -> Any:  # pocketsphinx's model cannot be copied
        return trigrams, ()


@lru_cache(maxsize=1)
def trigrams() -> Trigrams:
    """The language model and the pronunciations in the package pocketsphinx, read once.

    Its own recognizer is not used. The model is asked word by word: its export to ARPA crashes.

    Raises:
        MelmoatError: pocketsphinx is not installed, or it has no such files.
    """
    with extra("words", "writing words"):
        import pocketsphinx
    model_file, dictionary = files()
    base = 1.0001
    try:
        model = pocketsphinx.NGramModel(
            pocketsphinx.Config(lmctl=None),
            pocketsphinx.LogMath(base=base),
            str(model_file),
        )
        text = dictionary.read_text("utf-8")
    except (OSError, RuntimeError, ValueError) as error:
        raise MelmoatError(
            f"{model_file.parent}: no English language model ({error}); {INSTALL}"
        ) from error
    return Trigrams(model, math.log(base), entries(text))


def files() -> list[Path]:
    """The language model and the dictionary of pocketsphinx; none where it is not installed."""
    package = package_folder("pocketsphinx")
    if package is None:
        return []
    names = ("en-us.lm.bin", "cmudict-en-us.dict")
    return [package / "model" / "en-us" / name for name in names]


def entries(text: str) -> dict[str, list[tuple[str, ...]]]:
    """The pronunciations of each word of a lexicon as CMUdict is written.

    >>> entries("a AH\\na(2) EY\\n<sil> SIL")
    {'a': [('AH',), ('EY',)]}
    """
    found: dict[str, list[tuple[str, ...]]] = {}
    for line in text.splitlines():
        head, *phonemes = line.split()
        word = head.partition("(")[0]
        if phonemes and WORD.fullmatch(word):
            found.setdefault(word, []).append(tuple(phonemes))
    return found

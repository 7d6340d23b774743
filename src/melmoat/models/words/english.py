"""Decoders that write English words, for CTC recognizers of phonemes and of letters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torch import Tensor

from melmoat.errors import MelmoatError
from melmoat.models.words import pronunciations
from melmoat.models.words.lexicon import Spelling, tree
from melmoat.models.words.lm import trigrams
from melmoat.models.words.pronunciations import Pronouncer
from melmoat.models.words.search import Search, Settings
from melmoat.text import words_of

COMMON = 4500  # words whose pronunciations the recognizer's own grapheme-to-phoneme gives
WRITTEN = {"mr": "MISTER"}  # words of the language model that are read otherwise than written


@dataclass(frozen=True, eq=False)
class Words:
    """A decoder: log probabilities, frames and labels to texts in capitals.

    It is immutable, so a copy of a recognizer shares it. An utterance's text does not depend on
    the others of a batch.

    Args:
        search: finds the words.
        labels: of the recognizer that it was made for.
    """

    search: Search
    labels: tuple[str, ...]
    vocabulary: Sequence[str]

    def __call__(
        self, log_probs: Tensor, frames: Tensor, labels: Sequence[str] | None = None
    ) -> list[str]:
        """One text an utterance; no frames are the empty text.

        Args:
            log_probs: ``[B, F, V]``.
            frames: true number of frames. Shape: ``[B]``.
            labels: of the recognizer that asks, to be compared.

        Raises:
            MelmoatError: the labels are another recognizer's.
        """
        if labels is not None and tuple(labels) != self.labels:
            raise MelmoatError("this word decoder was made for a recognizer with other labels")
        texts = []
        for rows, length in zip(log_probs.detach().cpu(), frames.tolist(), strict=True):
            words, _ = self.search(rows[:length].double().numpy())
            texts.append(" ".join(written(self.vocabulary[word]) for word in words))
        return texts

    def __deepcopy__(self, memo: dict[int, Any]) -> Words:
        return self


def phonemes(
    symbols: Sequence[str],
    boundary: str,
    own: Pronouncer,
    version: str,
    settings: Settings | None = None,
) -> Words:
    """A decoder for a recognizer of phonemes of the International Phonetic Alphabet.

    The last one made is kept: it takes seconds and is the same for the same arguments but ``own``.

    Args:
        symbols: its labels, the blank first.
        boundary: the one between words.
        own: its grapheme-to-phoneme, from words in small letters to phonemes among ``symbols``.
        version: names ``own``; its answers are kept in the user's cache folder under this name.
        settings: how to search; if None, as chosen for ``hama:conformer``.

    Raises:
        MelmoatError: pocketsphinx is not installed, or the recognizer has no such phonemes.
    """
    question = (tuple(symbols), boundary, version, settings)
    if question in _MADE:
        return _MADE[question]
    lm = trigrams()
    index, kind = {symbol: i for i, symbol in enumerate(symbols)}, _kind(symbols)
    if missing := sorted({*pronunciations.ENGLISH, boundary} - index.keys()):
        raise MelmoatError(f"this recognizer's labels lack {missing}, which English words need")
    found = pronunciations.english(lm.pronunciations, lm.words[:COMMON], own, version)
    spellings = {
        word: [kind(index[phoneme] for phoneme in one) for one in found[name]]
        for word, name in enumerate(lm.words)
    }
    search = Search(tree(spellings, lm.unigrams), lm, 0, index[boundary], settings or Settings())
    _MADE.clear()
    _MADE[question] = Words(search, tuple(symbols), lm.words)
    return _MADE[question]


_MADE: dict[tuple[tuple[str, ...], str, str, Settings | None], Words] = {}


@lru_cache(maxsize=2)
def letters(labels: str, settings: Settings | None = None) -> Words:
    """A decoder for a recognizer of letters: the words of the language model, as they are spelled.

    Args:
        labels: the blank first, capitals, and a space.

    Raises:
        MelmoatError: pocketsphinx is not installed, or labels have no space or no capitals.
    """
    lm = trigrams()
    index, kind = {letter: i for i, letter in enumerate(labels) if i}, _kind(labels)
    if missing := sorted(set("ABCDEFGHIJKLMNOPQRSTUVWXYZ ") - index.keys()):
        raise MelmoatError(f"this recognizer's labels lack {missing}, which English words need")
    spellings = {
        word: [kind(index[letter] for letter in text)]
        for word, text in enumerate(map(written, lm.words))
        if " " not in text and index.keys() >= set(text)
    }
    search = Search(tree(spellings, lm.unigrams), lm, 0, index[" "], settings or Settings())
    return Words(search, tuple(labels), lm.words)


def written(word: str) -> str:
    """A word of the language model in capitals, letters and apostrophes.

    >>> written("e-mail"), written("g.'s"), written("mr")
    ('E MAIL', "G'S", 'MISTER')
    """
    return WRITTEN.get(word) or words_of(word.replace("-", " "), keep="'").upper()


def _kind(symbols: Sequence[str]) -> Callable[[Iterable[int]], Spelling]:
    return bytes if len(symbols) <= 256 else tuple  # bytes take a fifth of the time

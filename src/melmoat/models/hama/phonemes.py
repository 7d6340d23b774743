"""Text as the phonemes that hama's recognizers were taught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from melmoat.models.hama.graphemes import GraphemeToPhoneme
from melmoat.text import TextError, listed, normalise

BLANK, BOUNDARY = "<blank>", "<wb>"
NEVER = " "  # a symbol of grapheme-to-phoneme that the recognizers were not taught
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz'")
BATCH = 256  # words


class Phonemes:
    """The symbols, and what words and texts are in them.

    Args:
        graphemes: which symbols a word has.
        symbols: the symbols, in its order.

    Attributes:
        labels: the recognizers' symbols: the blank, then ``symbols``, then the word boundary.
    """

    def __init__(self, graphemes: GraphemeToPhoneme, symbols: Sequence[str]) -> None:
        self.labels = (BLANK, *symbols, BOUNDARY)
        self.boundary = len(self.labels) - 1
        self._graphemes = graphemes
        self._known: dict[str, tuple[int, ...]] = {}

    def pronounced(self, words: Iterable[str]) -> list[tuple[int, ...]]:
        """Indices of the phonemes of each word. Each word is looked up once and then remembered.

        Args:
            words: in small letters, with apostrophes inside at most.

        Raises:
            TextError: a word with other characters, or one that has no phonemes.
        """
        words = list(words)
        new = sorted(set(words) - self._known.keys())
        for word in new:
            if not word or not set(word) <= LETTERS:
                raise TextError(
                    f"{word!r}: only words of the letters A to Z have phonemes here (spell numbers "
                    "as words)"
                )
        for start in range(0, len(new), BATCH):
            several = new[start : start + BATCH]
            for word, found in zip(several, self._graphemes(several), strict=True):
                kept = (i + 1 for i in found if self.labels[i + 1] != NEVER)
                self._known[word] = tuple(kept)
        for word in new:
            if not self._known[word]:
                raise TextError(f"{word!r}: no phonemes are known of it")
        return [self._known[word] for word in words]

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """Indices of the labels of each text, with a boundary between words. Shape: ``[N]`` each.

        Raises:
            TextError: a text with digits, or with letters other than A to Z.
        """
        split = [words_of(text) for text in listed(texts)]
        self.pronounced(word for words in split for word in words)  # all in one go
        found = []
        for words in split:
            indices: list[int] = []
            for phonemes in self.pronounced(words):
                indices += [*phonemes, self.boundary]
            found.append(torch.tensor(indices[:-1], dtype=torch.long))
        return found

    def written(self, indices: Iterable[int]) -> str:
        """Symbols as a text: those of a word together, a space between words."""
        symbols = (" " if i == self.boundary else self.labels[i] for i in indices)
        return " ".join("".join(symbols).split())


def words_of(text: str) -> list[str]:
    """The words of an English text in small letters.

    >>> words_of("It’s a café: well-known, \\"the boys'\\"!")
    ["it's", 'a', 'cafe', 'well', 'known', 'the', 'boys']
    """
    stripped = (word.strip("'") for word in normalise(text).lower().split())
    return [word for word in stripped if word]

"""Text as the phonemes that hama's recognizers were taught."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

import torch
from torch import Tensor

from melmoat.models.hama.graphemes import GraphemeToPhoneme
from melmoat.text import TextError, listed, normalise

BLANK, BOUNDARY = "_", "|"
NEVER = " "  # a symbol of grapheme-to-phoneme that the recognizers were not taught
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz'")
BATCH = 256  # words


class Phonemes:
    """The symbols, and what words and texts are in them.

    A text in phonemes has spaces between symbols and a bar between words: ``h i | h æ d``.

    Args:
        graphemes: which symbols a word has.
        symbols: the symbols, in its order.

    Attributes:
        symbols: of the recognizers, in their order: the blank ``_``, then those of
            ``graphemes``, then the word boundary ``|``.
    """

    def __init__(self, graphemes: GraphemeToPhoneme, symbols: Sequence[str]) -> None:
        self.symbols = (BLANK, *("<space>" if s == NEVER else s for s in symbols), BOUNDARY)
        self._index = {symbol: i for i, symbol in enumerate(self.symbols) if i}
        self._never = 1 + symbols.index(NEVER)
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
                self._known[word] = tuple(i + 1 for i in found if i + 1 != self._never)
        for word in new:
            if not self._known[word]:
                raise TextError(f"{word!r}: no phonemes are known of it")
        return [self._known[word] for word in words]

    def of_words(self, texts: Sequence[str]) -> list[Tensor]:
        """Indices of the symbols of each English text. Shape: ``[N]`` each.

        Raises:
            TextError: a text with digits, or with letters other than A to Z.
        """
        split = [words_of(text) for text in listed(texts)]
        self.pronounced(word for words in split for word in words)  # all in one go
        found = []
        for words in split:
            indices: list[int] = []
            for phonemes in self.pronounced(words):
                indices += [*phonemes, self._index[BOUNDARY]]
            found.append(torch.tensor(indices[:-1], dtype=torch.long))
        return found

    def of_phonemes(self, texts: Sequence[str]) -> list[Tensor]:
        """Indices of the symbols of each text in phonemes; one with anything else is English.
        Shape: ``[N]`` each.

        Raises:
            TextError: as :meth:`of_words`.
        """
        found = []
        for text in listed(texts):
            symbols = text.split()
            if all(symbol in self._index for symbol in symbols):
                found.append(torch.tensor([self._index[s] for s in symbols], dtype=torch.long))
            else:
                found += self.of_words([text])
        return found

    def written(self, indices: Iterable[int]) -> str:
        """Symbols as a text in phonemes."""
        return " ".join(self.symbols[i] for i in indices)

    def likeliest(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """The best path of log probabilities ``[B, F, V]`` of ``[B]`` frames, as texts in
        phonemes."""
        rows = zip(log_probs.argmax(-1).tolist(), frames.tolist(), strict=True)
        merged = ([i for i, _ in groupby(best[:count]) if i] for best, count in rows)
        return [self.written(indices) for indices in merged]

    def compared(self, text: str) -> str:
        """What errors are counted in: the phonemes of a text, English or in phonemes, without the
        boundaries between words."""
        (indices,) = self.of_phonemes([text])
        return self.written(i for i in indices.tolist() if self.symbols[i] != BOUNDARY)


def words_of(text: str) -> list[str]:
    """The words of an English text in small letters, without quotation marks.

    >>> words_of("It’s a café: well-known, \\"the boys'\\"!")
    ["it's", 'a', 'cafe', 'well', 'known', 'the', 'boys']
    """
    stripped = (word.strip("'") for word in normalise(text).lower().split())
    return [word for word in stripped if word]

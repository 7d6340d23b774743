"""Prefix beam search over the words of a lexicon with a language model.

The score of words W is ``log P(W | audio) + weight * log P_lm(W) + bonus * |W|``, where the first
term sums over all alignments (Graves et al. 2006, Hannun et al. 2014), over all spellings of each
word, and over alignments with several boundaries in a row.

Why not a library: pyctcdecode 0.5 has no lexicon of phonemes and wants numpy below 2. The lexicon
decoder of flashlight-text 0.0.7 fits, and takes a language model in Python; but it has no wheels
for Python 3.13 and later, and gives up all but six homophones of a spelling.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from melmoat.models.words.lexicon import ROOT, Floats, Ints, Tree
from melmoat.models.words.lm import END, START, LanguageModel

FLOOR = -100.0  # nats; nothing is less likely, so that no sum is infinite
NEVER = -np.inf


@dataclass(frozen=True)
class Settings:
    """How to search.

    Args:
        weight: of the language model's log probabilities.
        bonus: nats for each word, against the language model's liking for few.
        width: prefixes that a frame leaves.
        margin: nats that a prefix may be behind the best one.
        cutoff: symbols below this log probability in a frame are not tried.
    """

    weight: float = 0.5
    bonus: float = 0.0
    width: int = 200
    margin: float = 16.0
    cutoff: float = -9.0

    def __post_init__(self) -> None:
        if self.width < 1 or not self.margin > 0 or not self.cutoff < 0 or self.weight < 0:
            raise ValueError(f"width, margin, weight above 0 and cutoff below, got {self}")


class Histories:
    """Sequences of finished words, numbered; 0 is the empty one.

    Attributes:
        scores: of language model and bonus, of each. Shape: ``[at least their number]``.
    """

    def __init__(self, lm: LanguageModel, settings: Settings) -> None:
        self._lm, self._settings = lm, settings
        self._known: dict[tuple[int, int], int] = {}
        self._of: list[tuple[int, int]] = [(-1, START)]  # the one before, and the last word
        self._last: list[tuple[int, ...]] = [(START,)]
        self.scores: Floats = np.zeros(256)

    def extended(self, histories: Ints, words: Ints) -> Ints:
        """Each of the sequences with one more word. Shape: ``[B]``, ``[B]`` -> ``[B]``."""
        pairs = zip(histories.tolist(), words.tolist(), strict=True)
        return np.array([self._known.get(pair) or self._new(*pair) for pair in pairs], int)

    def _new(self, history: int, word: int) -> int:
        number, last = len(self._of), self._last[history]
        if number == len(self.scores):
            self.scores = np.concatenate([self.scores, np.zeros(number)])
        added = self._settings.weight * self._lm.log_prob(word, last) + self._settings.bonus
        self.scores[number] = self.scores[history] + added
        self._known[history, word] = number
        self._of.append((history, word))
        self._last.append((last[-1], word))
        return number

    def total(self, history: int) -> float:
        """The score of a whole sentence."""
        ending = self._settings.weight * self._lm.log_prob(END, self._last[history])
        return float(self.scores[history]) + ending

    def words(self, history: int) -> list[int]:
        """The words of a sequence."""
        found = []
        while history:
            history, word = self._of[history]
            found.append(word)
        return found[::-1]


@dataclass
class Prefixes:
    """Words, and a part of one more: B of them.

    Args:
        histories: the finished words. Shape: ``[B]``.
        nodes: of the lexicon, where the part is. Shape: ``[B]``.
        last: the last symbol, -1 for none. Shape: ``[B]``.
        blank: log probability of the alignments that end in a blank. Shape: ``[B]``.
        symbol: of those that end in the last symbol. Shape: ``[B]``.
    """

    histories: Ints
    nodes: Ints
    last: Ints
    blank: Floats
    symbol: Floats

    @property
    def total(self) -> Floats:
        """Log probability of all alignments. Shape: ``[B]``."""
        return np.logaddexp(self.blank, self.symbol)

    def but(self, symbols: Ints | int) -> Floats:
        """Of the alignments after which ``symbols`` are new ones: one equal to the last only
        behind a blank. Shape: ``[B]``."""
        return np.where(symbols == self.last, self.blank, self.total)

    def __getitem__(self, which: Ints) -> Prefixes:
        return Prefixes(
            self.histories[which],
            self.nodes[which],
            self.last[which],
            self.blank[which],
            self.symbol[which],
        )


@dataclass(frozen=True, eq=False)
class Search:
    """Finds the words of an utterance.

    Words that the lexicon lacks are never written: what sounds most like them is.

    Args:
        tree: the lexicon.
        lm: the language model of its words.
        blank: index of the blank.
        boundary: index of the symbol between words; None where words follow each other without.
    """

    tree: Tree
    lm: LanguageModel
    blank: int
    boundary: int | None
    settings: Settings = Settings()

    def __call__(self, rows: Floats) -> tuple[list[int], float]:
        """The best words and their score. What is left of a word at the end is dropped where no
        whole one is likely enough.

        Args:
            rows: log probabilities. Shape: ``[F, V]``.

        Raises:
            ValueError: they are no numbers.
        """
        if np.isnan(rows).any():
            raise ValueError("the recognizer's log probabilities are not numbers (NaN)")
        histories = Histories(self.lm, self.settings)
        one = np.zeros(1, int)
        first = -1 if self.boundary is None else self.boundary
        beam = Prefixes(one, one, one + first, np.zeros(1), np.full(1, NEVER))
        for row in np.maximum(rows.astype(float), FLOOR):
            beam = self._step(beam, row, histories)
        return self._best(beam, histories)

    def _step(self, beam: Prefixes, row: Floats, histories: Histories) -> Prefixes:
        repeated = np.where(beam.last >= 0, beam.symbol + row[beam.last], NEVER)
        stay = Prefixes(
            beam.histories, beam.nodes, beam.last, beam.total + row[self.blank], repeated
        )
        likely = np.flatnonzero(row > self.settings.cutoff)
        inside = likely[(likely != self.blank) & (likely != self.boundary)]
        parts = [stay]
        if self.boundary is None:
            if len(inside):
                ended = self._ended(beam, histories)
                parts += [self._longer(beam, inside, row), self._longer(ended, inside, row)]
        else:
            if len(inside):
                parts.append(self._longer(beam, inside, row))
            if self.boundary in likely:
                parts += self._bounded(beam, self.boundary, row, histories)
        return self._pruned(parts, histories)

    def _longer(self, beam: Prefixes, symbols: Ints, row: Floats) -> Prefixes:
        """Every prefix with each of the symbols that the lexicon has there."""
        children = self.tree.step(beam.nodes, symbols)
        which, column = np.nonzero(children >= 0)
        new, origins = symbols[column], beam[which]
        return Prefixes(
            origins.histories,
            children[which, column],
            new,
            np.full(len(new), NEVER),
            origins.but(new) + row[new],
        )

    def _ended(self, beam: Prefixes, histories: Histories) -> Prefixes:
        """The prefixes that are whole words, at the root again; one for each homophone."""
        number = self.tree.ends[beam.nodes + 1] - self.tree.ends[beam.nodes]
        which = np.repeat(np.arange(len(number)), number)
        among = np.arange(len(which)) - np.repeat(number.cumsum() - number, number)
        ended = beam[which]
        words = self.tree.words[self.tree.ends[ended.nodes] + among]
        ended.histories = histories.extended(ended.histories, words)
        ended.nodes = np.full(len(which), ROOT)
        return ended

    def _bounded(
        self, beam: Prefixes, boundary: int, row: Floats, histories: Histories
    ) -> list[Prefixes]:
        """Whole words with the boundary behind them, and boundaries with one more."""
        parts = [self._ended(beam, histories), beam[np.flatnonzero(beam.nodes == ROOT)]]
        for part in parts:
            part.symbol = part.but(boundary) + row[boundary]
            part.last = np.full(len(part.last), boundary)
            part.blank = np.full(len(part.last), NEVER)
        return parts

    def _pruned(self, parts: list[Prefixes], histories: Histories) -> Prefixes:
        """The best prefixes, each once."""
        joined = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("histories", "nodes", "last", "blank", "symbol")
        ]
        beam = Prefixes(*joined)
        scores = self._scores(beam, histories)
        beam = beam[np.flatnonzero(scores > scores.max() - self.settings.margin)]
        if len(parts) == 1:
            return beam
        keys = beam.histories * len(self.tree.symbols) + beam.nodes
        order = np.argsort(keys, kind="stable")
        firsts = np.flatnonzero(np.diff(keys[order], prepend=-1))
        beam = beam[order]
        blank = np.logaddexp.reduceat(beam.blank, firsts)
        symbol = np.logaddexp.reduceat(beam.symbol, firsts)
        beam = beam[firsts]
        beam.blank, beam.symbol = blank, symbol
        if len(firsts) <= self.settings.width:
            return beam
        best = np.argpartition(-self._scores(beam, histories), self.settings.width - 1)
        return beam[np.sort(best[: self.settings.width])]

    def _scores(self, beam: Prefixes, histories: Histories) -> Floats:
        """What prefixes are ranked by: the likeliest word that they may become counts already."""
        ahead = self.settings.weight * self.tree.ahead[beam.nodes]
        scores: Floats = beam.total + histories.scores[beam.histories] + ahead
        return scores

    def _best(self, beam: Prefixes, histories: Histories) -> tuple[list[int], float]:
        at_root = np.flatnonzero(beam.nodes == ROOT)
        ended = self._ended(beam, histories)
        whole = np.concatenate([beam.histories[at_root], ended.histories])
        totals = np.concatenate([beam.total[at_root], ended.total])
        if not len(whole):
            whole, totals = beam.histories, beam.total
        found: dict[int, float] = {}
        for history, total in zip(whole.tolist(), totals.tolist(), strict=True):
            found[history] = float(np.logaddexp(found.get(history, NEVER), total))
        scores = {history: total + histories.total(history) for history, total in found.items()}
        best = max(scores, key=lambda history: scores[history])
        return histories.words(best), scores[best]

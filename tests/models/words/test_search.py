import itertools
import math
from collections import defaultdict

import numpy as np
import pytest

from melmoat.models.words.lexicon import tree
from melmoat.models.words.lm import END, START
from melmoat.models.words.search import Search, Settings

# Symbols: the blank 0, phonemes 1 to 3, the boundary 4. Words 0 and 3 are homophones, word 2 has
# two spellings, and word 0 is a beginning of word 1.
SPELLINGS = {0: [(1,)], 1: [(1, 2)], 2: [(2,), (3, 3)], 3: [(1,)]}
BLANK, BOUNDARY, SYMBOLS, FRAMES = 0, 4, 5, 6
WIDE = Settings(weight=0.7, bonus=0.3, width=10_000, margin=1e9, cutoff=-1e9)


class Bigrams:
    """Some fixed numbers, and what it was asked."""

    def __init__(self, seed: int) -> None:
        table = np.random.default_rng(seed).dirichlet(np.full(5, 0.3), 5)
        self.table = np.log(table + 1e-3)

    def log_prob(self, word: int, before: tuple[int, ...]) -> float:
        assert 1 <= len(before) <= 2
        assert all(0 <= one < 4 or one == START for one in before)
        return float(self.table[before[-1], word if word != END else 4])


def speech(seed: int, symbols: int = SYMBOLS, frames: int = FRAMES) -> np.ndarray:
    odds = np.random.default_rng(seed).dirichlet(np.full(symbols, 0.5), frames)
    return np.log(odds)


def sentences(path: tuple[int, ...], boundary: int | None) -> list[tuple[int, ...]]:
    """The word sequences that an alignment may be read as."""
    merged = [s for s, _ in itertools.groupby(path)]
    written = [s for s in merged if s != BLANK]
    of = defaultdict(list)
    for word, several in SPELLINGS.items():
        for spelling in several:
            of[spelling].append(word)
    if boundary is None:
        return splits(tuple(written), of)
    runs = [tuple(g) for is_end, g in itertools.groupby(written, boundary.__eq__) if not is_end]
    return list(itertools.product(*(of[run] for run in runs)))


def splits(written: tuple[int, ...], of: dict) -> list[tuple[int, ...]]:
    if not written:
        return [()]
    return [
        (word, *rest)
        for size in (1, 2)
        if len(written) >= size
        for word in of.get(written[:size], ())
        for rest in splits(written[size:], of)
    ]


def brute(rows: np.ndarray, lm: Bigrams, settings: Settings, boundary: int | None) -> dict:
    """The score of every sentence, from every alignment."""
    found: dict[tuple[int, ...], float] = defaultdict(lambda: -math.inf)
    for path in itertools.product(range(rows.shape[1]), repeat=len(rows)):
        logp = sum(rows[i, s] for i, s in enumerate(path))
        for sentence in sentences(path, boundary):
            found[sentence] = float(np.logaddexp(found[sentence], logp))
    for sentence in found:
        last: tuple[int, ...] = (START,)
        for word in (*sentence, END):
            found[sentence] += settings.weight * lm.log_prob(word, last[-2:])
            last = (*last, word)
        found[sentence] += settings.bonus * len(sentence)
    return found


def search(lm: Bigrams, settings: Settings, boundary: int | None = BOUNDARY) -> Search:
    return Search(tree(SPELLINGS, np.zeros(4)), lm, BLANK, boundary, settings)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("boundary", "symbols"), [(BOUNDARY, 5), (None, 4)])
def test_a_wide_beam_finds_the_best_sentence_and_its_score(seed, boundary, symbols):
    rows, lm = speech(seed, symbols), Bigrams(seed)
    scores = brute(rows, lm, WIDE, boundary)
    best = max(scores, key=scores.__getitem__)
    words, score = search(lm, WIDE, boundary)(rows)
    assert tuple(words) == best
    assert score == pytest.approx(scores[best], abs=1e-6)


def test_a_wider_beam_is_no_worse_here():
    rows, lm = speech(3, frames=40), Bigrams(3)
    scores = [
        search(lm, Settings(0.7, 0.3, width=width))(rows)[1] for width in (1, 4, 16, 64, 256, 1024)
    ]
    assert all(a <= b + 1e-3 for a, b in itertools.pairwise(scores))
    assert scores[0] < scores[-1]


def test_the_language_model_chooses_between_homophones():
    rows = np.full((3, SYMBOLS), -20.0)
    rows[0, 1] = rows[1, BLANK] = rows[2, BLANK] = 0.0
    lm = Bigrams(0)
    lm.table[:] = -5.0
    lm.table[START, 3] = -1.0
    assert search(lm, Settings())(rows)[0] == [3]
    assert search(lm, Settings(weight=0.0))(rows)[0] == [0]  # a tie goes to the first
    lm.table[START, 0] = -0.5
    assert search(lm, Settings())(rows)[0] == [0]


def test_no_frames_are_no_words():
    assert search(Bigrams(0), Settings())(np.zeros((0, SYMBOLS)))[0] == []


def test_silence_is_no_words():
    rows = np.full((20, SYMBOLS), -30.0)
    rows[:, BLANK] = 0.0
    assert search(Bigrams(0), Settings())(rows)[0] == []


def test_the_beginning_of_a_word_at_the_end_is_dropped():
    rows = np.full((5, SYMBOLS), -200.0)
    rows[[0, 1, 2, 3, 4], [1, 0, BOUNDARY, 3, 0]] = 0.0  # word 0, then half of the spelling 3 3
    assert search(Bigrams(0), Settings())(rows)[0] in ([0], [3])


def test_impossible_symbols_and_frames_give_numbers():
    rows = np.full((4, SYMBOLS), -np.inf)
    words, score = search(Bigrams(0), Settings())(rows)
    assert words == []
    assert math.isfinite(score)


def test_not_a_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        search(Bigrams(0), Settings())(np.full((2, SYMBOLS), np.nan))


@pytest.mark.parametrize(
    "wrong", [{"width": 0}, {"margin": 0.0}, {"cutoff": 0.0}, {"weight": -1.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="width, margin, weight"):
        Settings(**wrong)

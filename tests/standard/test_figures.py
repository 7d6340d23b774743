from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from melmoat.standard.book import Book
from melmoat.standard.figures import figures, half_of
from melmoat.standard.levels import Level
from melmoat.standard.result import _aimed
from tests.standard.rows import member, row

L20 = Level("l2", 20.0)


def test_the_figures_of_a_worst_case_made_by_hand() -> None:
    found = Book([row(n, "GO ON", ["GO ON"] * 2) for n in "abcd"])
    texts = {"a": ["", "GO"], "b": ["A B C D E", "A B C D E"], "c": ["GO NO", "GO ON"]}
    rows = [row(name, "GO ON", told) for name, told in texts.items()]
    rows[1] |= {"counts": {"target": {"words": (1, 4)}}, "reached": False}
    found.add(L20, member("one"), rows)
    f = figures(found, L20, {n: n for n in "abcd"}, {"b": found.of(L20, "one")["b"]})
    assert f.n == 4
    assert f.capped == pytest.approx(100 * (1.5 + 2 + 0.5 + 0) / 8)
    assert f.worst_draw == pytest.approx(100 * (2 + 2 + 1 + 0) / 8)
    assert f.wer == pytest.approx(100 * (1.5 + 5 + 0.5) / 8)
    assert (f.substitutions, f.deletions, f.insertions) == pytest.approx(
        (100 * 2.5 / 8, 100 * 1.5 / 8, 100 * 3 / 8)
    )
    assert f.empty == pytest.approx(100 * 0.5 / 4)
    assert f.runaway == pytest.approx(100 / 4)
    assert f.any_error == pytest.approx(100 * 2.5 / 4)
    assert (f.target_wer, f.reached) == (25.0, 0.0)
    assert f.by == {"one": 3, "clean": 1}
    assert f.capped_interval is not None
    assert f.capped_interval[0] < f.capped < f.capped_interval[1]
    assert f.capped_by_speaker is None  # four speakers are too few


def test_languages_without_spaces_are_counted_in_characters_throughout() -> None:
    said = "\u6253\u5f00\u95e8"  # three letters, one word to a computer
    found = Book([row(n, said, [said]) for n in "ab"])
    rows = [row("a", said, [3 * said]), row("b", said, ["\u6253\u5f00"])]
    rows[1] |= {"counts": {"target": {"words": (1, 1), "chars": (1, 4)}}, "reached": False}
    found.add(L20, member("one"), rows)
    f = figures(found, L20, None, {"b": found.of(L20, "one")["b"]})
    assert f.runaway == 50.0  # the first is three times as long
    assert f.target_wer == 25.0
    assert f.wer == pytest.approx(100 * 7 / 6)


def test_of_two_targeted_attempts_the_nearest_in_characters_counts() -> None:
    said = "\u6253\u5f00\u95e8"
    found = Book([row("a", said, [said])])
    for name, edits in (("target matched, lattice", 3), ("target matched", 1)):
        target = {"words": (1, 1), "chars": (edits, 4)}
        one = row("a", said, [said]) | {"counts": {"target": target}, "reached": False}
        found.add(L20, member(name, "targeted"), [one])
    told: Any = SimpleNamespace(book=found, stochastic=False)
    assert _aimed(told, L20)["a"].member == "target matched"


def test_half_of_the_words_are_wrong_between_the_levels_that_say_so() -> None:
    dbs, totals = np.array([40.0, 30.0, 20.0]), np.full(8, 4.0)
    rates = np.array([0.1, 0.3, 0.8])[:, None]
    half = half_of(dbs, rates * totals, totals)
    assert half.db == pytest.approx(26.0)  # two fifths of the way from 30 % to 80 %
    assert half.low == half.high == pytest.approx(26.0)  # all utterances are alike
    assert half_of(dbs, 0 * rates * totals, totals).text == "below 20 dB [below 20, below 20]"
    assert half_of(dbs, np.ones((3, 8)) * totals, totals).text == "above 40 dB [above 40, above 40]"


def test_its_interval_does_not_depend_on_the_order() -> None:
    generator = np.random.default_rng(0)
    dbs, totals = np.array([40.0, 30.0, 20.0]), generator.integers(1, 9, 12).astype(float)
    harm = np.sort(generator.random((3, 12)), axis=0) * totals
    half, again = half_of(dbs, harm, totals), half_of(dbs, harm[:, ::-1], totals[::-1])
    assert half == again
    assert half.low is not None
    assert half.high is not None
    assert half.low < half.high

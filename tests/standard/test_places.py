"""Places of systems whose order is known."""

from itertools import permutations

import numpy as np
import pytest

from melmoat.standard.levels import LARGE
from melmoat.standard.places import RANKED, lead, mean_errors, mean_of, places, told_apart
from melmoat.standard.reading import contradictions
from melmoat.standard.result import Result
from tests.standard.made_results import WORDS, made

N = 20
SPREAD = np.tile([-0.2, 0.0, 0.0, 0.2], N // 4)  # utterances differ


def system(*errors: float, clean: float = 0.0, sign: str = "") -> Result:
    """A system with these errors of each utterance of four words, from the loudest of ``RANKED``
    to the quietest one that was tried."""
    names = [level.name for level in reversed(RANKED)]
    at = {
        name: np.clip(e + SPREAD, clean, WORDS).tolist()
        for name, e in zip(names, errors, strict=False)
    }
    box = {"linf 30 dB": at["l2 40 dB"], "clean": [clean] * N}
    return made(at.pop("l2 20 dB"), sign=sign, at=at | box)


STRONG = system(4, 4, 2.4, 1.2, 0.6)
MIDDLE = system(4, 4, 3.2, 2.2, 1.2)
WEAK = system(4, 4, 4, 3.6, 3.2)
WEAKER = system(4, 4, 4, 4, 3.7)
HOLDS = system(3, 2, 1)


def test_the_levels_are_the_l2_levels_of_every_run_and_the_quiet_ones() -> None:
    assert [level.db for level in RANKED] == [60, 50, 40, 30, 20]
    assert LARGE not in RANKED


def test_systems_that_all_fall_at_20_db_have_the_order_of_the_quieter_levels() -> None:
    for several in permutations([(STRONG, 1), (MIDDLE, 2), (WEAK, 3)]):
        found = places([result for result, _ in several])
        assert found == [(place, place) for _, place in several]


def test_systems_without_a_crossing_of_half_are_ranked_too() -> None:
    assert WEAK.half is not None
    assert WEAKER.half is not None
    assert WEAK.half.text == WEAKER.half.text == "above 60 dB [above 60, above 60]"
    assert places([WEAKER, WEAK]) == [(2, 2), (1, 1)]
    holds_more = system(1.5, 1, 0.6)
    assert holds_more.half is not None
    assert holds_more.half.text.startswith("below 20 dB")
    assert places([system(1.8, 1, 0.6), holds_more]) == [(2, 2), (1, 1)]


def test_equal_systems_share_their_places() -> None:
    assert places([MIDDLE, system(4, 4, 3.2, 2.2, 1.2), STRONG]) == [(2, 3), (2, 3), (1, 1)]
    assert places([WEAK]) == [(1, 1)]


def test_curves_that_cross_with_one_mean_are_not_told_apart() -> None:
    early, late = system(4, 4, 2.4, 2.2, 2), system(4, 4, 3.6, 2.2, 0.8)
    assert mean_of(early).least == pytest.approx(mean_of(late).least)
    assert places([early, late]) == [(1, 2), (1, 2)]


def test_a_suspect_system_has_no_place_and_takes_none() -> None:
    suspect = system(0.4, 0.2, 0.2, sign="weaker attackers")
    assert places([suspect, WEAK, STRONG]) == [None, (2, 2), (1, 1)]


def test_the_mean_is_that_of_five_levels() -> None:
    mean = mean_of(MIDDLE)
    points = [f.capped for f in MIDDLE.levels if f.level.startswith("l2")]
    assert len(points) == 5
    assert mean.least == mean.most == pytest.approx(sum(p or 0.0 for p in points) / 5)
    assert mean.interval[0] < mean.least < mean.interval[1]


def test_levels_that_were_not_tried_are_bounded() -> None:
    holds = system(3, 2, 1, clean=0.5)
    mean = mean_of(holds)
    clean, quietest = 100 * 0.5 / WORDS, 100 * 1 / WORDS  # of each utterance, on average
    tried = 100 * (1 + 2 + 3) / WORDS
    assert mean.least == pytest.approx((tried + 2 * clean) / 5, abs=0.5)
    assert mean.most == pytest.approx((tried + 2 * quietest) / 5, abs=0.5)
    assert mean.interval[0] < mean.least < mean.most < mean.interval[1]


def test_a_level_that_was_not_needed_is_not_held_against_the_better_system() -> None:
    assert not list(contradictions(HOLDS))
    assert [f.level for f in HOLDS.levels][:1] == ["l2 40 dB"]
    assert places([STRONG, HOLDS]) == [(2, 2), (1, 1)]


def test_nor_does_it_win_a_place_that_the_bounds_do_not_give() -> None:
    holds = system(3.4, 3.2, 1.9)  # 1.7 to 2.46 of four words
    falls = system(4, 3.4, 2.1, 0.6, 0.4)  # 2.1
    assert not list(contradictions(falls))
    assert mean_of(holds).least < mean_of(falls).least < mean_of(holds).most
    assert places([holds, falls]) == [(1, 2), (1, 2)]


def test_two_systems_that_hold_are_compared_where_they_were_tried() -> None:
    one, other = system(3, 2, 1.9), system(3.4, 2.4, 1.9)
    assert mean_of(one).most > mean_of(other).least  # bounds alone would not tell
    assert places([one, other]) == [(1, 1), (2, 2)]


def test_a_pair_may_hold_alone_and_not_among_many() -> None:
    base = [2.0] * N
    six_more = [3.0] * 6 + base[6:]  # p = 2 / 2 ** 6
    alone = places([made(base), made(six_more)])
    assert alone == [(1, 1), (2, 2)]
    assert places([made(base), made(six_more), made(base)]) == [(1, 3)] * 3
    far = made([4.0] * N)  # pairs that are beyond doubt do not count against the others
    assert places([made(base), made(six_more), far]) == [(1, 1), (2, 2), (3, 3)]


def test_flips_are_enough_for_the_number_of_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("melmoat.standard.places.FLIPS", 10)  # p of 1 in 11 at least
    assert places([WEAK, STRONG, MIDDLE]) == [(3, 3), (1, 1), (2, 2)]


def test_tables_of_systems_that_do_not_differ_are_rarely_wrong() -> None:
    generator = np.random.default_rng(0)
    tables = [
        [made(generator.binomial(WORDS, 0.5, N).tolist()) for _ in range(6)] for _ in range(30)
    ]
    one_pair = sum(bool(told_apart([a, b])) for a, b, *_ in tables)
    wrong = sum(bool(told_apart(several)) for several in tables)
    assert one_pair <= 5  # of 30 where one of 20 errs; more than 5 once in 300 times
    assert wrong <= 5  # without Holm's adjustment it is 6


def test_no_circle_can_arise() -> None:
    generator = np.random.default_rng(1)
    told = 0
    for _ in range(30):
        curve = np.sort(generator.random(6) * WORDS)
        tried = 5 if curve[3] > WORDS / 2 else 3
        one = system(*curve[:0:-1][:tried], clean=float(curve[0]))
        curve = np.sort(generator.random(6) * WORDS)
        tried = 5 if curve[3] > WORDS / 2 else 3
        other = system(*curve[:0:-1][:tried], clean=float(curve[0]))
        for better, worse in told_apart([one, other]):
            pair = (one, other)
            told += 1
            assert mean_of(pair[better]).least < mean_of(pair[worse]).least
    assert told > 15


def test_a_pair_is_compared_on_the_utterances_of_both() -> None:
    large, small = made([1, 2, 1, 0] * 5 + [4] * 40), made([2] * 20)
    assert mean_of(large).least > mean_of(small).least
    assert places([large, small]) == [(1, 1), (2, 2)]


def test_the_bound_is_above_clean_speech_with_randomness_too() -> None:
    noisy = made([3.0] * N, draws=10, at={"clean": [2.0] * N, "l2 40 dB": [1.0] * N})
    assert mean_errors(noisy, RANKED) == [pytest.approx((2 + 2 + 1 + 0.75 + 3) / 5)] * N
    assert lead(noisy, noisy) is None

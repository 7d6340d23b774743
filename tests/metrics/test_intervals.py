import math

import numpy as np
import pytest

from melmoat.metrics import intervals
from melmoat.metrics.intervals import bootstrap, needed, paired, rate


def test_rate_weighs_by_length() -> None:
    assert rate([1, 0], [1, 9]) == 10.0
    assert rate([], []) is None
    assert rate([2], [0]) is None


def test_bootstrap_matches_the_normal_interval_of_a_mean() -> None:
    rng = np.random.default_rng(0)
    edits = rng.binomial(10, 0.3, size=400)
    interval = bootstrap(edits.tolist(), [10] * 400)
    assert interval is not None
    half = 1.96 * edits.std() / np.sqrt(400) * 10
    centre = edits.mean() * 10
    assert interval == pytest.approx((centre - half, centre + half), abs=0.15)


def test_bootstrap_covers_the_truth_19_times_in_20() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(300):
        words = rng.integers(3, 9, size=60)
        interval = bootstrap(rng.binomial(words, 0.4).tolist(), words.tolist(), resamples=400)
        assert interval is not None
        inside += interval[0] <= 40 <= interval[1]
    assert 0.90 < inside / 300 < 0.98


def test_one_utterance_has_no_interval() -> None:
    assert bootstrap([1], [4]) is None
    assert bootstrap([0, 1], [0, 0]) is None


def test_empty_references_do_not_blow_it_up() -> None:
    interval = bootstrap([3, 1, 1], [0, 5, 5])
    assert interval is not None
    assert 20 <= interval[0] <= interval[1] <= 200


def test_the_same_data_give_the_same_interval() -> None:
    assert bootstrap([1, 2, 0], [4, 4, 4]) == bootstrap([1, 2, 0], [4, 4, 4])


def test_a_paired_difference_is_sharper_than_two_intervals() -> None:
    rng = np.random.default_rng(2)
    hard = rng.binomial(10, rng.uniform(0, 0.9, size=60))  # the same utterances are hard for both
    worse = np.minimum(hard + rng.binomial(1, 0.4, size=60), 10)
    words = [10] * 60
    found = paired(worse.tolist(), hard.tolist(), words)
    one, other = bootstrap(worse.tolist(), words), bootstrap(hard.tolist(), words)
    assert found is not None
    assert one is not None
    assert other is not None
    assert one[0] < other[1]  # the intervals overlap
    assert 0 < found.low < found.points < found.high
    assert found.p < 0.01


def test_the_paired_interval_is_the_normal_one_of_the_differences() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.binomial(10, 0.4, size=400), rng.binomial(10, 0.3, size=400)
    found = paired(a.tolist(), b.tolist(), [10] * 400)
    assert found is not None
    half = 1.96 * (a - b).std() / np.sqrt(400) * 10
    assert found.points == pytest.approx((a - b).mean() * 10)
    assert (found.low, found.high) == pytest.approx(
        (found.points - half, found.points + half), abs=0.25
    )


def test_p_of_a_few_utterances_is_that_of_all_their_sign_flips() -> None:
    for n, least in ((2, 1 / 2), (3, 1 / 4), (6, 1 / 32)):
        found = paired([3] * n, [1] * n, [4] * n)
        assert found is not None
        assert found.p == pytest.approx(least, abs=0.015)
    mixed = paired([3, 0, 2], [1, 1, 1], [4, 4, 4])  # sums of +-2 +-1 +-1: 6 of 8 reach 2
    assert mixed is not None
    assert mixed.p == pytest.approx(6 / 8, abs=0.015)


def test_more_flips_find_smaller_p() -> None:
    sure = [4] * 40, [1] * 40, [4] * 40
    few, many = paired(*sure, flips=99), paired(*sure, flips=99_999)
    assert few is not None
    assert many is not None
    assert (few.p, many.p) == (0.01, 0.00001)


def test_the_order_of_utterances_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    a, b, words = rng.binomial(9, 0.4, 30), rng.binomial(9, 0.3, 30), rng.integers(9, 12, 30)
    other = rng.permutation(30)
    groups = [f"s{i % 7}" for i in range(30)]
    assert bootstrap(a.tolist(), words.tolist()) == bootstrap(
        a[other].tolist(), words[other].tolist()
    )
    for by in (None, groups):
        moved = None if by is None else [by[i] for i in other]
        assert paired(a.tolist(), b.tolist(), words.tolist(), groups=by) == paired(
            *(column[other].tolist() for column in (a, b, words)), groups=moved
        )


def test_p_is_rarely_small_where_there_is_no_difference() -> None:
    rng = np.random.default_rng(4)
    small = 0
    for _ in range(300):
        a, b = rng.binomial(6, 0.4, size=(2, 50))
        found = paired(a.tolist(), b.tolist(), [6] * 50, resamples=400)
        assert found is not None
        small += found.p < 0.05
    assert small / 300 < 0.1


def test_a_system_does_not_differ_from_itself() -> None:
    found = paired([1, 2], [1, 2], [4, 4])
    assert found is not None
    assert (found.points, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    assert paired([1], [1], [4]) is None
    with pytest.raises(ValueError, match="do not pair"):
        paired([1, 2], [1, 2, 3], [4, 4])


def test_speakers_are_resampled_whole() -> None:
    # Within a speaker all utterances are alike: 40 of them hold no more than their 8 speakers do.
    rng = np.random.default_rng(5)
    errors = rng.integers(0, 10, size=8)
    edits, words = np.repeat(errors, 5).tolist(), [10] * 40
    names = [f"s{i // 5}" for i in range(40)]
    clustered = bootstrap(edits, words, groups=names)
    assert clustered == bootstrap((5 * errors).tolist(), [50] * 8)
    plain = bootstrap(edits, words)
    assert clustered is not None
    assert plain is not None
    assert clustered[1] - clustered[0] > 1.8 * (plain[1] - plain[0])
    assert bootstrap(edits, words, groups=list(range(40))) == plain
    assert bootstrap(edits, words, groups=["one"] * 40) is None
    with pytest.raises(ValueError, match="3 groups"):
        bootstrap(edits, words, groups=["a", "b", "c"])


def test_a_paired_difference_over_speakers() -> None:
    rng = np.random.default_rng(6)
    shift = np.repeat(rng.choice([0, 4], size=10), 6)  # a gain that only some speakers have
    base = rng.binomial(10, 0.3, size=60)
    names = [i // 6 for i in range(60)]
    words = [10] * 60
    plain = paired((base + shift).tolist(), base.tolist(), words)
    whole = paired((base + shift).tolist(), base.tolist(), words, groups=names)
    assert plain is not None
    assert whole is not None
    assert whole.points == plain.points
    assert whole.high - whole.low > 1.8 * (plain.high - plain.low)


def test_the_needed_number_is_what_finds_the_difference_four_times_in_five() -> None:
    rng = np.random.default_rng(7)

    def draw(n: int) -> tuple[list[int], list[int], list[int]]:
        words = rng.integers(4, 12, size=n)
        hard = rng.uniform(0.1, 0.7, size=n)
        ours, theirs = rng.binomial(words, hard + 0.08), rng.binomial(words, hard)
        return ours.tolist(), theirs.tolist(), words.tolist()

    n = needed(*draw(20_000), points=8.0)
    assert n is not None
    assert 60 < n < 250
    found = 0
    for seed in range(300):
        difference = paired(*draw(n), resamples=400, seed=seed)
        assert difference is not None
        found += difference.low > 0
    assert 0.72 < found / 300 < 0.88


def test_nothing_needs_no_number() -> None:
    assert needed([1, 2], [1, 2], [4, 4]) is None
    assert needed([1], [0], [4]) is None
    assert needed([2, 2], [1, 1], [4, 4]) == 2  # the same in every utterance
    smaller = needed([3, 0, 2, 1], [1, 1, 0, 1], [4] * 4, points=1.0)
    larger = needed([3, 0, 2, 1], [1, 1, 0, 1], [4] * 4, points=2.0)
    assert smaller is not None
    assert larger is not None
    assert smaller == pytest.approx(4 * larger, abs=4)


def test_parts_draw_what_the_whole_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    edits, words = [3, 0, 2, 5, 1], [5, 4, 6, 7, 3]
    whole = bootstrap(edits, words, resamples=500)
    monkeypatch.setattr(intervals, "KEPT", 37)
    assert bootstrap(edits, words, resamples=500) == whole


def test_counts_that_are_no_numbers_are_refused() -> None:
    """All sign flips of NaN are smaller than nothing: its p-value would be the least there is."""
    with pytest.raises(ValueError, match="NaN or Inf"):
        paired([math.nan, 1, 2], [1, 2, 3], [1, 1, 1])
    with pytest.raises(ValueError, match="NaN or Inf"):
        bootstrap([1, math.inf], [4, 4])

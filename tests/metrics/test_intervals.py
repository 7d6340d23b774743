import numpy as np
import pytest

from melmoat.metrics.intervals import bootstrap, rate


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

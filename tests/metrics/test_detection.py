"""ROC curves, areas under them and thresholds, on scores with known answers."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from melmoat.metrics.detection import auc, auc_interval, resolves, roc, threshold

SCORES = st.lists(st.integers(0, 9), min_size=1, max_size=20)


def test_known_areas() -> None:
    assert auc([0, 1, 2], [3, 4]) == 1
    assert auc([3, 4], [0, 1, 2]) == 0
    assert auc([1, 1], [1, 1, 1]) == 0.5
    assert auc([1, 2, 3], [2]) == 0.5  # above one, tied with one, below one


@settings(max_examples=30)
@given(SCORES, SCORES)
def test_the_area_is_that_under_the_curve(negatives: list[int], positives: list[int]) -> None:
    points = roc(negatives, positives)
    assert (points[0], points[-1]) == ((0, 0), (1, 1))
    trapezoids = sum((x - u) * (y + v) / 2 for (u, v), (x, y) in pairwise(points))
    assert trapezoids == pytest.approx(auc(negatives, positives))


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 99), min_size=4, max_size=30, unique=True),
    st.sampled_from([0.05, 0.2, 0.3]),
)
def test_a_threshold_keeps_its_promise_on_a_further_score_and_no_lower_one_does(
    scores: list[int], rate: float
) -> None:
    """Each of the scores in turn is the further one, as likely as any other."""

    def alarms(lower: int) -> int:
        found = 0
        for i, further in enumerate(scores):
            others = scores[:i] + scores[i + 1 :]
            rank = sorted(others, reverse=True).index(threshold(others, rate)) + lower
            found += further > sorted(others, reverse=True)[min(rank, len(others) - 1)]
        return found

    if resolves(len(scores) - 1, rate):
        assert alarms(0) <= rate * len(scores) + 1e-9
        assert alarms(1) > rate * len(scores)


def test_the_interval_of_normal_scores_holds_the_true_area() -> None:
    """P(x + 1 > y) for two standard normal values is Phi(1 / sqrt 2) = 0.760."""
    rng = np.random.default_rng(3)
    inside, widths = 0, []
    for _ in range(40):
        negatives, positives = rng.normal(size=40).tolist(), rng.normal(1, size=40).tolist()
        low, high = auc_interval(negatives, positives, resamples=250)
        inside += low < 0.7602 < high
        widths.append(high - low)
    assert 34 <= inside <= 40  # 95 % of 40 is 38
    assert 0.15 < np.mean(widths) < 0.27  # four standard errors; each is 0.053 (Hanley & McNeil)


def test_copies_of_an_utterance_are_not_independent() -> None:
    rng = np.random.default_rng(0)
    negatives, positives = rng.normal(size=10).tolist(), rng.normal(1, size=10).tolist()
    once = auc_interval(negatives, positives, (range(10), range(10, 20)))
    names = [*range(10)] * 9, [*range(10, 20)] * 9
    again = auc_interval(negatives * 9, positives * 9, names)
    assert again == pytest.approx(once)
    apart = auc_interval(negatives * 9, positives * 9)
    assert apart[1] - apart[0] < 0.6 * (once[1] - once[0])


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="0 negatives and 1 positives"):
        auc([], [1])
    with pytest.raises(ValueError, match="at least one recording"):
        threshold([], 0.05)
    with pytest.raises(ValueError, match=r"in \[0, 1\), got 5"):
        threshold([1], 5)
    with pytest.raises(ValueError, match="needs its group"):
        auc_interval([1, 2], [3], ([1], [1]))
    assert (resolves(18, 0.05), resolves(19, 0.05)) == (False, True)


def test_a_score_that_is_no_number_is_refused() -> None:
    """Sorted among others, NaN gives any threshold and any curve."""
    with pytest.raises(ValueError, match="NaN"):
        threshold([0.1, math.nan, 0.3], 0.05)
    for measure in (auc, auc_interval, roc):
        with pytest.raises(ValueError, match="NaN"):
            measure([0.1, 0.2], [math.nan])


def test_infinite_scores_have_a_place_in_the_order() -> None:
    assert auc([0, math.inf], [1, math.inf]) == 0.625
    assert threshold(np.array([-math.inf, 1.0]), 0.4) == 1.0

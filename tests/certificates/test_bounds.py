"""Bounds of probabilities hold as often as they say; checked exactly, or against SciPy."""

import math

import numpy as np
import pytest

from melmoat.certificates.bounds import STANDARD, clopper_pearson, hoeffding, l2_between


@pytest.mark.parametrize(("hits", "draws"), [(1, 9), (7, 9), (501, 1000), (990, 1000), (9, 9)])
@pytest.mark.parametrize("alpha", [0.05, 1e-3, 1e-7])
def test_clopper_pearson_is_a_quantile_of_the_beta_distribution(
    hits: int, draws: int, alpha: float
) -> None:
    special = pytest.importorskip("scipy.special", reason="needs SciPy")
    expected = special.betaincinv(hits, draws - hits + 1, alpha)
    assert clopper_pearson(hits, draws, alpha) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("p", [0.05, 0.5, 0.72, 0.9, 0.99])
def test_clopper_pearson_covers(p: float) -> None:
    draws, alpha = 25, 0.01
    wrong = sum(
        math.comb(draws, k) * p**k * (1 - p) ** (draws - k)
        for k in range(draws + 1)
        if clopper_pearson(k, draws, alpha) > p
    )
    assert wrong <= alpha


def test_nothing_seen_bounds_nothing() -> None:
    assert clopper_pearson(0, 50, 0.01) == 0
    with pytest.raises(ValueError, match="51 hits of 50"):
        clopper_pearson(51, 50, 0.01)


def test_hoeffding_holds_for_the_whole_distribution_at_once() -> None:
    draws, alpha, runs = 200, 0.1, 2000
    truth = np.cumsum([0.4, 0.1, 0.2, 0.05, 0.25])
    counts = np.random.default_rng(0).multinomial(draws, np.diff(truth, prepend=0), runs)
    above = (counts.cumsum(1) / draws - truth).max(1) > hoeffding(draws, alpha)
    assert 0 < above.mean() <= alpha


def test_a_move_of_the_input_lowers_a_probability_no_further() -> None:
    sigma, score = 0.3, 0.5  # of a half space at this distance
    high = STANDARD.cdf(score / sigma)
    assert l2_between(sigma, high, 0.5) == pytest.approx(score)
    low = STANDARD.cdf((score - 0.2) / sigma)
    assert l2_between(sigma, high, low) == pytest.approx(0.2)
    assert l2_between(sigma, -0.1, 0.5) == -math.inf

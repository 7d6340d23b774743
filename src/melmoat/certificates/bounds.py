"""The statistics behind certificates: confidence bounds of a probability, and what Gaussian noise
makes of them.

Throughout, ``alpha`` is the probability that a bound is wrong.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

STANDARD = NormalDist()


def clopper_pearson(hits: int, draws: int, alpha: float) -> float:
    """A lower bound of a probability, of which ``hits`` of ``draws`` independent draws came true.

    It exceeds the true probability with a probability of at most ``alpha`` (Clopper & Pearson
    1934, one-sided). It is the ``p`` at which so many hits or more have the probability ``alpha``,
    found by bisection from below.

    >>> round(clopper_pearson(100, 100, 0.001), 4)
    0.9333
    """
    if not 0 <= hits <= draws or draws < 1:
        raise ValueError(f"{hits} hits of {draws} draws")
    if hits == 0:
        return 0.0
    if hits == draws:
        return math.exp(math.log(alpha) / draws)
    counts = np.arange(hits, draws + 1)
    log_factorials = np.array([math.lgamma(i + 1) for i in range(draws + 1)])
    ways = log_factorials[draws] - log_factorials[counts] - log_factorials[draws - counts]
    low, high = 0.0, hits / draws
    for _ in range(60):
        p = (low + high) / 2
        logs = ways + counts * math.log(p) + (draws - counts) * math.log1p(-p)
        most = logs.max()
        if most + math.log(np.exp(logs - most).sum()) < math.log(alpha):
            low = p
        else:
            high = p
    return low


def hoeffding(draws: int, alpha: float, sides: int = 1) -> float:
    """How far a share of ``draws`` independent draws may lie from its probability: farther with a
    probability of at most ``alpha``, to one side or to one of two (Hoeffding 1963).

    One-sided and for ``alpha`` up to 1/2, the same number holds for all shares of an empirical
    distribution function at once (Dvoretzky, Kiefer & Wolfowitz, with the constant of Massart
    1990).
    """
    return math.sqrt(math.log(sides / alpha) / (2 * draws))


def l2_between(sigma: float, high: float, low: float) -> float:
    """How far an input must move, in l2, until the probability of an event under white Gaussian
    noise of standard deviation ``sigma`` can have fallen from ``high`` to ``low``.

    A move by ``r`` can take it from ``p`` to ``cdf(inv_cdf(p) - r / sigma)`` at the least, whatever
    the event is (Neyman & Pearson; Cohen et al. 2019, lemma 4). Negative if ``high < low``.
    """
    if not high > 0:
        return -math.inf
    return sigma * (STANDARD.inv_cdf(high) - STANDARD.inv_cdf(low))

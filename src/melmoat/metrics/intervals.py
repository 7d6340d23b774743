"""Confidence intervals by the bootstrap over utterances (Efron 1979; Bisani & Ney 2004 for WER).

Utterances of one speaker resemble each other. With each utterance's speaker as ``groups``, whole
speakers are resampled instead (cluster bootstrap; Field & Welsh 2007). This interval also holds for
speakers outside of the corpus. With ten speakers or fewer it is too short.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 5000
FLIPS = 10_000
KEPT = 2_000_000  # numbers in one part of the resamples: 16 MB


def rate(edits: Sequence[float], totals: Sequence[float]) -> float | None:
    """``100 * sum(edits) / sum(totals)`` in percent; None if there is nothing to count."""
    total = sum(totals)
    return 100.0 * sum(edits) / total if total else None


def bootstrap(
    edits: Sequence[float],
    totals: Sequence[float],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
) -> tuple[float, float] | None:
    """Percentile interval of :func:`rate` under resampling of whole utterances, in percent.

    Errors within one utterance are correlated, so utterances are resampled, not words; with
    ``groups``, whole groups of utterances. None if there are fewer than two, or nothing to count.

    >>> bootstrap([1, 1, 1], [4, 4, 4])
    (25.0, 25.0)
    """
    table = _units([edits, totals], groups)
    if len(table) < 2 or not sum(totals):
        return None
    rates = _resampled(table, resamples, seed)[0]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Rate of one system minus that of another on the same utterances, in percentage points.

    Attributes:
        points: the difference.
        low, high: its percentile interval.
        p: two-sided p-value of the paired sign-flip test (Fisher 1935): how often a difference is
            at least as large if the two systems are swapped at random in each utterance. Never
            below ``1 / (flips + 1)``. Unlike the bootstrap it is also valid for few utterances.
    """

    points: float
    low: float
    high: float
    p: float


def paired(
    edits: Sequence[float],
    others: Sequence[float],
    totals: Sequence[float],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    groups: Sequence[Hashable] | None = None,
    flips: int = FLIPS,
) -> Difference | None:
    """Paired bootstrap of the difference of two rates (Bisani & Ney 2004, section 4).

    Both systems are resampled together, so the difficulty of an utterance for both cancels. None if
    there are fewer than two utterances or groups, or nothing to count.

    Args:
        edits, others: errors of the two systems in each utterance.
        totals: words or characters of each utterance's text.
        groups: each utterance's speaker, to resample and flip whole speakers.
        flips: number of random sign flips for ``p``.

    >>> paired([4, 2, 4], [2, 0, 2], [4, 4, 4]).points
    50.0
    """
    if not len(edits) == len(others) == len(totals):
        raise ValueError(f"{len(edits)}, {len(others)} and {len(totals)} utterances do not pair")
    table = _units([edits, others, totals], groups)
    if len(table) < 2 or not sum(totals):
        return None
    ours, theirs = _resampled(table, resamples, seed)
    differences = ours - theirs
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    points = 100.0 * (sum(edits) - sum(others)) / sum(totals)
    p = _flipped(table[:, 0] - table[:, 1], flips, seed)
    return Difference(points, float(low), float(high), p)


def _flipped(gaps: NDArray[np.float64], flips: int, seed: int) -> float:
    """The share of random sign flips whose sum is as far from zero as the sum of ``gaps``."""
    rng, total = np.random.default_rng(seed), float(gaps.sum())
    part, hits = max(1, KEPT // len(gaps)), 0
    for start in range(0, flips, part):
        signs = rng.integers(0, 2, (min(part, flips - start), len(gaps)), dtype=np.int8)
        sums = 2 * (signs @ gaps) - total
        hits += int((np.abs(sums) >= abs(total) * (1 - 1e-12)).sum())
    return (1 + hits) / (1 + flips)


def holm(ps: Sequence[float]) -> list[float]:
    """p-values of several tests, adjusted for their number (Holm 1979).

    If those below 0.05 are believed, the chance that any of them errs is at most 5 %, however the
    tests depend on each other.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    adjusted, largest = [0.0] * len(ps), 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        adjusted[i] = largest
    return adjusted


def needed(
    edits: Sequence[float],
    others: Sequence[float],
    totals: Sequence[float],
    points: float | None = None,
    level: float = 0.95,
    power: float = 0.8,
) -> int | None:
    """Number of such utterances that would show a paired difference of ``points``.

    The difference of two rates over ``n`` utterances is normal for large ``n``, with variance
    ``var(d) / (n * mean(totals)^2)`` where ``d_i = edits_i - others_i - D * totals_i`` and ``D`` is
    the difference itself (the delta method for a ratio). A two-sided test at ``level`` finds it
    with probability ``power`` for ``n = (z_level + z_power)^2 var(d) / (mean(totals) * points)^2``.

    Args:
        edits, others, totals: as in :func:`paired`.
        points: the difference in percentage points; the observed one if None.

    Returns:
        At least 2; None if the difference is zero or there is no data for an estimate.

    >>> needed([2, 0, 2, 0], [1, 0, 1, 0], [4, 4, 4, 4])
    11
    """
    ours, theirs, words = (np.asarray(column, dtype=float) for column in (edits, others, totals))
    if len(words) < 2 or not words.sum():
        return None
    difference = float((ours - theirs).sum() / words.sum())
    wanted = difference if points is None else points / 100
    if not wanted:
        return None
    variance = float((ours - theirs - difference * words).var(ddof=1))
    normal = NormalDist()
    z = normal.inv_cdf((1 + level) / 2) + normal.inv_cdf(power)
    return max(2, math.ceil(z**2 * variance / (float(words.mean()) * wanted) ** 2))


def _units(
    columns: Sequence[Sequence[float]], groups: Sequence[Hashable] | None
) -> NDArray[np.float64]:
    """The units to resample: utterances, or sums over each group. Shape: ``[n, k]``.

    A rate is a ratio of sums, so a resample of groups is a resample of their sums. The units are
    sorted, so the order of measurement does not change an interval.
    """
    table = (
        np.stack(columns, axis=1).astype(float) if len(columns[0]) else np.zeros((0, len(columns)))
    )
    if not np.isfinite(table).all():
        raise ValueError("a count of an utterance is NaN or Inf, and a rate of such has no meaning")
    if groups is None:
        return _sorted(table)
    if len(groups) != len(table):
        raise ValueError(f"{len(groups)} groups do not go with {len(table)} utterances")
    number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    summed = np.zeros((len(number), len(columns)))
    np.add.at(summed, [number[group] for group in groups], table)
    return _sorted(summed)


def _sorted(table: NDArray[np.float64]) -> NDArray[np.float64]:
    return table[np.lexsort(table.T)]


def _resampled(table: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Rates in percent of every column over the last one. Shape: ``[n, k]`` -> ``[k - 1, R]``."""
    sums = np.concatenate([counts @ table for counts in _counts(len(table), resamples, seed)])
    sums = sums[sums[:, -1] > 0]  # a resample of empty references alone has no rate
    rates: NDArray[np.float64] = 100.0 * sums[:, :-1].T / sums[:, -1]
    return rates


def _counts(n: int, resamples: int, seed: int) -> Iterator[NDArray[np.float64]]:
    """Counts of each of ``n`` units in each resample, in parts of limited size. ``[r, n]``."""
    if n * resamples <= KEPT:
        yield _few(n, resamples, seed)
        return
    rng, shares = np.random.default_rng(seed), np.full(n, 1 / n)
    part = max(1, KEPT // n)
    for start in range(0, resamples, part):  # the same draws as all at once
        size = min(part, resamples - start)
        yield rng.multinomial(n, shares, size=size).astype(float)


@lru_cache(maxsize=8)
def _few(n: int, resamples: int, seed: int) -> NDArray[np.float64]:
    """The same in one part, cached: tables of one size use the same resamples, and often."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples)
    return counts.astype(float)

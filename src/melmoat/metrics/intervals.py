"""Confidence intervals by the bootstrap over utterances (Efron 1979; Bisani & Ney 2004 for WER)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PART = 1 << 21  # counts held at a time


def rate(edits: Sequence[float], totals: Sequence[float]) -> float | None:
    """``100 * sum(edits) / sum(totals)`` in percent; None where there is nothing to count."""
    total = sum(totals)
    return 100.0 * sum(edits) / total if total else None


def bootstrap(
    edits: Sequence[float],
    totals: Sequence[float],
    level: float = 0.95,
    resamples: int = 5000,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Percentile interval of :func:`rate` under resampling of whole utterances, in percent.

    Words of one utterance are wrong together, so utterances and not words are what is resampled.
    None for fewer than two utterances or nothing to count.

    >>> bootstrap([1, 1, 1], [4, 4, 4])
    (25.0, 25.0)
    """
    if len(edits) < 2 or not sum(totals):
        return None
    rates = _resampled(np.stack([edits, totals], axis=1).astype(float), resamples, seed)[0]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """Rate of one system minus that of another on the same utterances, in percentage points.

    Attributes:
        points: the difference.
        low, high: its percentile interval.
        p: two-sided bootstrap p-value: how often a resample has no difference or one of the other
            sign, doubled; never below ``2 / resamples``.
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
    resamples: int = 5000,
    seed: int = 0,
) -> Difference | None:
    """Paired bootstrap of the difference of two rates (Bisani & Ney 2004, section 4).

    Both systems are resampled together, so what makes an utterance hard for both cancels. None for
    fewer than two utterances or nothing to count.

    Args:
        edits, others: errors of the two systems in each utterance.
        totals: what they are counted against.

    >>> paired([4, 2, 4], [2, 0, 2], [4, 4, 4]).points
    50.0
    """
    if len(edits) < 2 or not sum(totals):
        return None
    if not len(edits) == len(others) == len(totals):
        raise ValueError(f"{len(edits)}, {len(others)} and {len(totals)} utterances do not pair")
    table = np.stack([edits, others, totals], axis=1).astype(float)
    ours, theirs = _resampled(table, resamples, seed)
    differences = ours - theirs
    low, high = np.quantile(differences, [(1 - level) / 2, (1 + level) / 2])
    tail = min((differences <= 0).mean(), (differences >= 0).mean())
    points = 100.0 * (sum(edits) - sum(others)) / sum(totals)
    p = float(min(1.0, max(2 * tail, 2 / resamples)))
    return Difference(points, float(low), float(high), p)


def _resampled(table: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    """Rates in percent of every column over the last one. Shape: ``[n, k]`` -> ``[k - 1, R]``."""
    n = len(table)
    generator, even = np.random.default_rng(seed), np.full(n, 1 / n)
    # Counts are n x resamples numbers: in parts, they take some megabytes however large n is.
    part = max(1, PART // n)
    sums = np.concatenate(
        [
            generator.multinomial(n, even, size=min(part, resamples - start)) @ table
            for start in range(0, resamples, part)
        ]
    )
    sums = sums[sums[:, -1] > 0]  # a resample of empty references alone has no rate
    rates: NDArray[np.float64] = 100.0 * sums[:, :-1].T / sums[:, -1]
    return rates

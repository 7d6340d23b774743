"""Confidence intervals by the bootstrap over utterances (Efron 1979; Bisani & Ney 2004 for WER)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


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
    n = len(edits)
    if n < 2 or not sum(totals):
        return None
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=resamples)
    sums = counts @ np.stack([np.asarray(edits, float), np.asarray(totals, float)], axis=1)
    sums = sums[sums[:, 1] > 0]  # a resample of empty references alone has no rate
    rates = 100.0 * sums[:, 0] / sums[:, 1]
    low, high = np.quantile(rates, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

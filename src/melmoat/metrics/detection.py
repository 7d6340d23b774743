"""How well scores tell attacked recordings from others: ROC, AUC and thresholds.

A recording is suspect if its score is above the threshold. Negatives are recordings that nobody
attacked; a suspect one of them is a false alarm.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from melmoat.metrics.intervals import RESAMPLES

PART = 250  # resamples at once, to bound memory


def auc(negatives: Sequence[float], positives: Sequence[float]) -> float:
    """The area under the ROC curve: how often a positive scores above a negative.

    Ties count one half (Mann & Whitney 1947).

    Raises:
        ValueError: there are no negatives or no positives, or a score is NaN.

    >>> auc([0, 1, 2], [1, 3])
    0.75
    """
    return float(_wins(negatives, positives).mean())


def auc_interval(
    negatives: Sequence[float],
    positives: Sequence[float],
    groups: tuple[Sequence[Hashable], Sequence[Hashable]] | None = None,
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval of :func:`auc` under resampling of negatives and of positives.

    Args:
        groups: the speaker or utterance of each negative and of each positive. Whole groups are
            then resampled, with all of their negatives and positives together. The clean, the noisy
            and the attacked recording of one utterance are not independent.

    >>> auc_interval([0, 1], [2, 3])
    (1.0, 1.0)
    """
    wins = _wins(negatives, positives)
    rng = np.random.default_rng(seed)
    areas = np.concatenate(
        [
            _weighted(wins, *_weights(wins.shape, groups, min(PART, resamples - start), rng))
            for start in range(0, resamples, PART)
        ]
    )
    low, high = np.nanquantile(areas, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def roc(negatives: Sequence[float], positives: Sequence[float]) -> list[tuple[float, float]]:
    """The points of the ROC curve: shares of false alarms and of detections, from (0, 0) to (1, 1).

    There is one point for each threshold that changes something.

    >>> roc([0, 1], [1, 2])
    [(0.0, 0.0), (0.0, 0.5), (0.5, 1.0), (1.0, 1.0)]
    """
    _wins(negatives, positives)
    thresholds = sorted({*negatives, *positives}, reverse=True)
    points = [(0.0, 0.0)]
    for threshold in thresholds:
        points.append(
            (
                sum(score >= threshold for score in negatives) / len(negatives),
                sum(score >= threshold for score in positives) / len(positives),
            )
        )
    return points


def threshold(negatives: Sequence[float], false_alarms: float) -> float:
    """The least of the negatives' scores above which a further negative lies with at most this
    probability.

    Of ``n`` negatives and a further one like them, each order is equally likely. So the further one
    is above the largest score but ``k`` with probability ``(k + 1) / (n + 1)`` at most, in the mean
    over sets of negatives (split conformal prediction, Vovk et al. 2005). With fewer than
    ``1 / false_alarms - 1`` negatives this is their largest score, and the rate of false alarms may
    be far higher: :func:`resolves`.

    Raises:
        ValueError: there are no negatives, one is NaN, or the share is not in [0, 1).

    >>> threshold([0.1, 0.2, 0.3, 0.4], 0.4), threshold([0.1, 0.2, 0.3, 0.4], 0.01)
    (0.3, 0.4)
    """
    if not len(negatives):
        raise ValueError("a threshold needs at least one recording that nobody attacked")
    _numbers(negatives)
    if not 0 <= false_alarms < 1:
        raise ValueError(f"false_alarms must be in [0, 1), got {false_alarms}")
    above = max(0, math.floor(false_alarms * (len(negatives) + 1) + 1e-9) - 1)
    return sorted(negatives, reverse=True)[above]


def resolves(negatives: int, false_alarms: float) -> bool:
    """Whether so many negatives can show such a rate of false alarms at all.

    >>> resolves(98, 0.01), resolves(99, 0.01)
    (False, True)
    """
    return (negatives + 1) * false_alarms >= 1 - 1e-9


def _wins(negatives: Sequence[float], positives: Sequence[float]) -> NDArray[np.float64]:
    """1 where a positive scores above a negative, 1/2 at a tie. Shape: ``[P, N]``."""
    if not len(negatives) or not len(positives):
        raise ValueError(
            f"{len(negatives)} negatives and {len(positives)} positives: an ROC curve needs both"
        )
    attacked, others = _numbers(positives)[:, None], _numbers(negatives)[None]
    wins: NDArray[np.float64] = 0.5 * (attacked > others) + 0.5 * (attacked >= others)
    return wins


def _numbers(scores: Sequence[float]) -> NDArray[np.float64]:
    """The scores as an array. NaN has no place in an order, and would spoil it without a word."""
    array = np.asarray(scores, float)
    if np.isnan(array).any():
        raise ValueError("a score is NaN")
    return array


def _weights(
    shape: tuple[int, ...],
    groups: tuple[Sequence[Hashable], Sequence[Hashable]] | None,
    resamples: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How often each positive ``[R, P]`` and each negative ``[R, N]`` is in each resample."""
    if groups is None:
        positives, negatives = (rng.multinomial(n, np.full(n, 1 / n), resamples) for n in shape)
        return positives, negatives
    of_negatives, of_positives = groups
    if (len(of_positives), len(of_negatives)) != shape:
        raise ValueError("each negative and each positive needs its group")
    number = {name: i for i, name in enumerate(sorted({*of_negatives, *of_positives}, key=str))}
    counts = rng.multinomial(len(number), np.full(len(number), 1 / len(number)), resamples)
    return (
        counts[:, [number[name] for name in of_positives]],
        counts[:, [number[name] for name in of_negatives]],
    )


def _weighted(
    wins: NDArray[np.float64], positives: NDArray[np.int64], negatives: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The AUC of each resample; NaN where it has no positive or no negative. Shape: ``[R]``."""
    total = positives.sum(1) * negatives.sum(1)
    won = ((positives @ wins) * negatives).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        areas: NDArray[np.float64] = np.where(total > 0, won / total, np.nan)
    return areas

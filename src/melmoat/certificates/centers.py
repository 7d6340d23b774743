"""Center smoothing (Kumar & Goldstein, NeurIPS 2021, arXiv 2102.09701) for transcripts.

The outputs are sequences of words, and their distance is the edit distance in words. The theorem
needs a distance that is symmetric and keeps the triangle inequality. The edit distance is a metric,
so it does.

**Algorithm 1** chooses a center of ``n`` noisy transcripts ``Z``: here the transcript of ``Z`` with
the least distance ``r`` within which at least half of ``Z`` lie. A smallest ball of any center that
holds half of ``Z`` holds one of these transcripts, and all others in it are at most two of its
radii away, so this ``r`` is at most twice that radius: the paper's ``beta`` is 2. Then ``n`` fresh
draws give the share of transcripts within ``r``. It abstains if ``Delta < max(Delta_1, Delta_2)``,
with
``Delta_1 = sqrt(ln(2 / alpha_1) / 2n)`` and ``Delta_2 = 1/2 - (share - Delta_1)``.

**Algorithm 2** certifies: of ``m`` fresh draws it takes the distances to the center, and of these
the quantile ``R`` at ``p + sqrt(ln(1 / alpha_2) / 2m)``, ``p = Phi(Phi^-1(1/2 + Delta) + r /
sigma)``. Then no perturbation below ``r`` in l2 moves the center by more than ``(1 + beta) R = 3
R``. :func:`steps` solves it for ``r``, for each ``R`` at once. This costs nothing: the added number
holds for all quantiles together (:func:`melmoat.certificates.bounds.hoeffding`).

Where the error goes (proof of theorem 2). The certificate holds for *all* perturbations together,
but for ``alpha_2``: for each of them, the ball of radius ``R`` around the center of the clean audio
has a share above ``1/2 + Delta``. A call on attacked audio either abstains or has a center whose
ball of radius ``r' <= 2 R`` has a share of at least ``1/2 - Delta``, but for ``alpha_1``. Two such
balls meet, so their centers are at most ``R + 2 R`` apart. The center of the clean audio need not
be a good one for this.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from melmoat.certificates.bounds import l2_between
from melmoat.certificates.plan import Plan
from melmoat.metrics.errors import as_letters

BETA = 2  # of a center that is one of the samples
ROWS = 512  # of the table of distances that are in memory at once


@dataclass(frozen=True)
class Center:
    """What algorithm 1 found.

    Attributes:
        transcript: the center.
        radius: of its ball, words.
        share: of fresh draws in the ball.
    """

    transcript: str
    radius: int
    share: float

    def abstains(self, plan: Plan) -> bool:
        """Whether too few fresh draws lie in the ball."""
        return max(plan.slack, 0.5 - (self.share - plan.slack)) > plan.delta


def enclosing_ball(drawn: Mapping[str, int]) -> tuple[str, int]:
    """The center and the radius, in words, of the smallest ball around one of the transcripts that
    holds at least half of them.

    Of equal balls, the one that holds most is taken, then the commonest center.

    >>> enclosing_ball({"GO": 3, "GO ON": 2, "STOP": 2})
    ('GO', 1)
    """
    texts = sorted(drawn)
    if not texts:
        raise ValueError("no transcripts")
    weights = np.array([drawn[text] for text in texts])
    letters = as_letters(text.split() for text in texts)
    best: tuple[int, int, int, int] | None = None
    for first in range(0, len(texts), ROWS):
        table = cdist(letters[first : first + ROWS], letters, scorer=Levenshtein.distance)
        for i, row in enumerate(np.asarray(table, dtype=np.int64), first):
            held = np.bincount(row, weights).cumsum()
            radius = int(np.argmax(2 * held >= weights.sum()))
            found = (radius, -int(held[radius]), -int(weights[i]), i)
            best = found if best is None else min(best, found)
    assert best is not None
    return texts[best[3]], best[0]


def distances(center: str, drawn: Mapping[str, int]) -> dict[int, int]:
    """How many of the transcripts lie at each distance from ``center``, in words.

    >>> distances("GO ON", {"GO ON": 5, "GO": 2, "STOP IT": 1})
    {0: 5, 1: 2, 2: 1}
    """
    texts = list(drawn)
    first, *others = as_letters(text.split() for text in [center, *texts])
    found: Counter[int] = Counter()
    for text, other in zip(texts, others, strict=True):
        found[Levenshtein.distance(first, other)] += drawn[text]
    return dict(sorted(found.items()))


def center_of(drawn: Mapping[str, int], fresh: Mapping[str, int]) -> Center:
    """Algorithm 1, of transcripts with their numbers and of as many fresh ones."""
    transcript, radius = enclosing_ball(drawn)
    near = sum(n for words, n in distances(transcript, fresh).items() if words <= radius)
    return Center(transcript, radius, near / sum(fresh.values()))


def steps(found: Mapping[int, int], plan: Plan, lost: float = 0.0) -> list[tuple[int, float]]:
    """Algorithm 2: pairs of words and a radius, both increasing. No perturbation below the radius
    moves the center by more words.

    Args:
        found: numbers of draws by distance to the center, :func:`distances`.
        lost: what is taken off each radius (:func:`melmoat.certificates.noise.lost`).
    """
    words = np.array(sorted(found))
    shares = np.array([found[int(n)] for n in words]).cumsum() / sum(found.values())
    return list(_steps(words, shares, plan, lost))


def _steps(
    words: NDArray[np.int64], shares: NDArray[np.float64], plan: Plan, lost: float
) -> Iterable[tuple[int, float]]:
    for n, share in zip(words.tolist(), shares.tolist(), strict=True):
        radius = l2_between(plan.sigma, share - plan.margin, 0.5 + plan.delta) - lost
        if radius > 0:
            yield (1 + BETA) * n, radius

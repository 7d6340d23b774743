"""What systems are ranked by, and the places that paired comparisons tell apart.

The figure is the capped error rate in the worst case, averaged over the l2 levels ``RANKED``: what
an attacker reaches whose budget is any one of them, each as likely. It is a ratio of sums over
utterances, as the rate at one level is. So the same paired bootstrap and sign-flip test apply. A
level at which all systems fall adds nothing to a difference.

A quiet level is not tried where fewer than half of the words fall at a louder one. Errors there lie
between those of clean speech and those of the quietest level that was tried. If another system was
tried there, the untried one is the better of the two only if it is with the most errors that it may
have, and the worse only if it is with the least (worst-case bounds; Manski 2003, chapter 1).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations

from melmoat.metrics.intervals import FLIPS, Difference, bootstrap, holm, paired, rate
from melmoat.standard.figures import CLEAN, Interval
from melmoat.standard.levels import L2, QUIET, Level
from melmoat.standard.result import Result

RANKED = tuple(sorted((*QUIET, *L2), key=lambda level: -level.db))
OVER = f"l2 {RANKED[0].db:g} to {RANKED[-1].db:g} dB"
ALPHA = 0.05  # chance that a table tells any two systems apart that do not differ
Place = tuple[int, int]


@dataclass(frozen=True)
class Mean:
    """The rate in percent, averaged over ``RANKED``.

    Attributes:
        least: with the errors of clean speech at levels that were not tried.
        most: with the most errors that there may be; equal to ``least`` if all were tried.
        interval: 95 % over utterances, around both.
    """

    least: float
    most: float
    interval: Interval

    @property
    def text(self) -> str:
        """Without the interval."""
        return f"{self.least:.1f}" + (f" to {self.most:.1f}" if self.most > self.least else "")


def mean_of(result: Result) -> Mean:
    """The figure that ``result`` is ranked by."""
    lengths = result.utterances.lengths
    rates, ends = [], []
    for errors, end in ((mean_errors(result), 0), (mean_errors(result, RANKED), 1)):
        found, interval = rate(errors, lengths), bootstrap(errors, lengths)
        assert found is not None  # a result has words
        assert interval is not None  # and an entry has 20 utterances
        rates.append(found)
        ends.append(interval[end])
    return Mean(rates[0], rates[1], (ends[0], ends[1]))


def mean_errors(result: Result, most: Collection[Level] = ()) -> list[float]:
    """The errors of each utterance, averaged over ``RANKED``.

    Args:
        most: levels that count with the most errors that there may be, if they were not tried. The
            other ones of these count with the errors of clean speech.
    """
    capped = result.utterances.capped
    quietest = next(capped[level.name] for level in RANKED if level.name in capped)
    clean = capped[CLEAN]
    bound = [max(pair) for pair in zip(clean, quietest, strict=True)]
    by_level = [capped.get(lv.name, bound if lv in most else clean) for lv in RANKED]
    return [sum(errors) / len(RANKED) for errors in zip(*by_level, strict=True)]


def tried(result: Result) -> set[Level]:
    """Those of ``RANKED`` that were measured."""
    return {level for level in RANKED if level.name in result.utterances.capped}


def lead(one: Result, other: Result, flips: int = FLIPS) -> Difference | None:
    """The mean of ``one`` minus that of ``other``, in points; None if it is not the lower one.

    Over the utterances of both. At levels at which only ``other`` was tried ``one`` has the most
    errors that it may have. At those at which neither was, both have those of clean speech.
    """
    of_both = on_both(one, mean_errors(one, tried(other)), other, mean_errors(other))
    ours, theirs, _ = of_both
    return paired(*of_both, flips=flips) if sum(ours) < sum(theirs) else None


def on_both(
    one: Result, errors: Sequence[float], other: Result, others: Sequence[float]
) -> tuple[list[float], list[float], list[int]]:
    """Errors of ``one``, of ``other``, and the lengths, over the utterances of both."""
    ours, theirs = (
        dict(zip(result.utterances.ids, counts, strict=True))
        for result, counts in ((one, errors), (other, others))
    )
    lengths = dict(zip(one.utterances.ids, one.utterances.lengths, strict=True))
    both = sorted(set(ours) & set(theirs))
    return [ours[i] for i in both], [theirs[i] for i in both], [lengths[i] for i in both]


def told_apart(results: Sequence[Result]) -> set[tuple[int, int]]:
    """Pairs ``(i, j)`` of ``results`` of which ``i`` is the more robust.

    The 95 % interval of the lead lies below zero, and the sign-flip test gives p < ``ALPHA`` after
    Holm's adjustment for all pairs.

    No circle can arise: each pair agrees with the order of the means with the least errors, if all
    systems have the same utterances.
    """
    pairs = list(combinations(range(len(results)), 2))
    flips = max(FLIPS, 2 * round(len(pairs) / ALPHA))  # or no p could be small enough
    found: list[tuple[int, int]] = []
    ps: list[float] = []
    for i, j in pairs:
        found.append((i, j))
        ps.append(1.0)
        for better, worse in ((i, j), (j, i)):
            gap = lead(results[better], results[worse], flips)
            if gap is not None and gap.high < 0:
                found[-1], ps[-1] = (better, worse), gap.p
    return {pair for pair, p in zip(found, holm(ps), strict=True) if p < ALPHA}


def places(results: Sequence[Result]) -> list[Place | None]:
    """Best and worst possible place of each; None where the verdict is ``suspect``.

    They are simultaneous confidence sets of ranks (Mogstad et al. 2024): in at least 95 % of tables
    made like this all ranges hold, as far as the choice of utterances goes. Where two systems were
    not tried at a level, this takes them to differ there as on clean speech.
    """
    placed = [i for i, result in enumerate(results) if result.verdict != "suspect"]
    apart = told_apart([results[i] for i in placed])
    better, worse = [b for b, _ in apart], [w for _, w in apart]
    found: list[Place | None] = [None] * len(results)
    for k, i in enumerate(placed):
        found[i] = 1 + worse.count(k), len(placed) - better.count(k)
    return found

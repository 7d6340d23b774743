"""The figures of the worst case, in percent, with intervals over utterances and speakers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melmoat.analysis.results import MIN_SPEAKERS
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.standard.book import Book, Candidate
from melmoat.standard.levels import Level
from melmoat.text import canonical

Interval = tuple[float, float]
RUNAWAY = 2.0  # a transcript of more than this many times the length of what was said
HALF = 50.0  # percent
CLEAN = "clean"  # the level of speech that nobody attacked


@dataclass(frozen=True)
class Figures:
    """The worst case at one level, or clean speech. Rates in percent.

    Attributes:
        level: its name, such as ``l2 20 dB``.
        capped: error rate where the errors of an utterance count at most its length: the mean over
            the judging draws. With its intervals over utterances and over speakers.
        worst_draw: the same of the worst of the judging draws of each utterance: what an attacker
            gets who sends a recording again and again.
        wer: without the cap, and its ``substitutions``, ``deletions`` and ``insertions`` (None for
            languages without spaces, where ``wer`` is the character error rate).
        any_error: share of utterances with any error. ``empty``, ``runaway``: share of transcripts
            that say nothing, or more than twice as much as was said (in characters for languages
            without spaces).
        target_wer, reached: of the matched target: against it (as ``wer``), and share that reached
            it.
        by: how many utterances each member hurt most.
    """

    level: str
    n: int
    capped: float | None
    capped_interval: Interval | None
    capped_by_speaker: Interval | None
    worst_draw: float | None
    wer: float | None
    wer_interval: Interval | None
    substitutions: float | None
    deletions: float | None
    insertions: float | None
    cer: float | None
    any_error: float | None
    empty: float | None
    runaway: float | None
    target_wer: float | None
    reached: float | None
    snr_db: float | None
    by: Mapping[str, int]


def figures(
    book: Book,
    level: Level | None,
    speakers: Mapping[str, str] | None,
    targeted: Mapping[str, Candidate] | None = None,
) -> Figures:
    """The figures at ``level``; of clean speech if None.

    Args:
        speakers: the speaker of each utterance, if known.
        targeted: the candidates that wanted the matched target.
    """
    chosen = [book.clean[name] if level is None else book.worst(level, name) for name in book.ids]
    totals = [book.total(name) for name in book.ids]
    capped = book.judged(chosen)
    edits = [_mean(c, lambda d: book.edits(d)[0]) for c in chosen]
    worst = [max(map(book.capped, c.draws("judging"))) for c in chosen]
    groups = [speakers[name] for name in book.ids] if speakers else []
    enough = len(set(groups)) >= MIN_SPEAKERS
    operations = [_operation(book, chosen, totals, k) for k in range(3)]
    chars = [c.draws("judging")[0]["chars"][1] for c in chosen]
    ones = [1] * len(chosen)
    aims = [c.row["counts"]["target"][book.unit] for c in (targeted or {}).values()]
    reached = [float(c.row["reached"]) for c in (targeted or {}).values()]
    snr = [c.row["snr_db"] for c in chosen if c.row["snr_db"] is not None]
    by: dict[str, int] = {}
    for candidate in chosen:
        by[candidate.member] = by.get(candidate.member, 0) + 1
    return Figures(
        level=CLEAN if level is None else level.name,
        n=len(chosen),
        capped=rate(capped, totals),
        capped_interval=bootstrap(capped, totals),
        capped_by_speaker=bootstrap(capped, totals, groups=groups) if enough else None,
        worst_draw=rate(worst, totals),
        wer=rate(edits, totals),
        wer_interval=bootstrap(edits, totals),
        substitutions=operations[0],
        deletions=operations[1],
        insertions=operations[2],
        cer=rate([_mean(c, lambda d: d["chars"][0]) for c in chosen], chars),
        any_error=rate([_mean(c, lambda d: book.edits(d)[0] > 0) for c in chosen], ones),
        empty=rate([_mean(c, _is_empty) for c in chosen], ones),
        runaway=rate([_mean(c, lambda d: _runs_away(book, d)) for c in chosen], ones),
        target_wer=rate([a for a, _ in aims], [b for _, b in aims]),
        reached=rate(reached, [1] * len(reached)),
        snr_db=sum(snr) / len(snr) if snr else None,
        by=by,
    )


def _operation(
    book: Book, chosen: Sequence[Candidate], totals: Sequence[int], which: int
) -> float | None:
    if book.unit == "chars":
        return None
    return rate([_mean(c, lambda drawn: drawn["words"][which]) for c in chosen], totals)


def _mean(candidate: Candidate, figure: Callable[[dict[str, Any]], float]) -> float:
    drawn = candidate.draws("judging")
    return sum(float(figure(one)) for one in drawn) / len(drawn)


def _is_empty(drawn: Mapping[str, Any]) -> bool:
    return not drawn["heard"] and drawn["words"][3] > 0


def _runs_away(book: Book, drawn: Mapping[str, Any]) -> bool:
    # Without spaces any text is one word. A row has no count of the characters that were heard.
    heard = drawn["heard"] if book.unit == "words" else len(canonical(drawn["text"]))
    return bool(heard > RUNAWAY * max(book.edits(drawn)[1], 1))


@dataclass(frozen=True)
class HalfPoint:
    """The SNR at which half of the words are wrong.

    Attributes:
        db: interpolated between the l2 levels; None if it lies outside of them.
        low, high: 95 % interval over utterances; None for an end outside of the levels.
        text: the same in words.
    """

    db: float | None
    low: float | None
    high: float | None
    text: str


def half_point(book: Book, levels: Sequence[Level]) -> HalfPoint | None:
    """Where the curve of the capped error rate crosses 50 % on l2 levels; None without any."""
    dbs = sorted((level.db for level in levels if level.norm == "l2"), reverse=True)
    if len(dbs) < 2:
        return None
    chosen = [[book.worst(Level("l2", db), name) for name in book.ids] for db in dbs]
    harm = np.array([book.judged(one) for one in chosen], dtype=float)
    totals = np.array([book.total(name) for name in book.ids], dtype=float)
    return half_of(np.array(dbs), harm, totals)


def half_of(
    dbs: NDArray[np.float64],
    harm: NDArray[np.float64],
    totals: NDArray[np.float64],
    resamples: int = 2000,
) -> HalfPoint:
    """The same from errors ``[levels, utterances]`` and lengths ``[utterances]``.

    Levels are given in falling order of ``dbs``.
    """

    n = len(totals)
    order = np.lexsort((totals, *harm))  # an interval does not depend on the order of measurement
    harm, totals = harm[:, order], totals[order]
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=resamples)
    counts = np.concatenate([np.ones((1, n)), drawn])  # the first is what was measured
    rates = 100 * (counts @ harm.T) / np.maximum(counts @ totals, 1)[:, None]
    point, *others = _crossings(dbs, rates).tolist()
    others.sort()
    low, high = others[int(0.025 * resamples)], others[int(0.975 * resamples)]

    def said(db: float) -> str:
        if np.isposinf(db):
            return f"above {dbs[0]:g}"
        return f"below {dbs[-1]:g}" if np.isneginf(db) else f"{db:.1f}"

    def finite(db: float) -> float | None:
        return db if np.isfinite(db) else None

    text = f"{said(point)} dB [{said(low)}, {said(high)}]"
    return HalfPoint(finite(point), finite(low), finite(high), text)


def _crossings(dbs: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each row of ``rates`` ``[R, levels]`` crosses 50 %, in dB; infinite outside."""
    after = np.argmax(rates >= HALF, axis=1).clip(min=1)
    rows = np.arange(len(rates))
    left, right = rates[rows, after - 1], rates[rows, after]
    share = (HALF - left) / np.where(right > left, right - left, 1.0)
    inside = dbs[after - 1] + share * (dbs[after] - dbs[after - 1])
    found = np.where(rates[:, 0] >= HALF, np.inf, inside)
    return np.where((rates < HALF).all(axis=1), -np.inf, found)

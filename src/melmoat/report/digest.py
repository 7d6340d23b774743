"""A run in one line per system: clean speech, worst case, place, verdict."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import pairwise

from melmoat.analysis.audit import Audited
from melmoat.analysis.results import MIN_SPEAKERS, Result, speakers_of
from melmoat.analysis.variants import setting
from melmoat.bench.labels import heading, system
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.report.tables import rate_text, target_text

Interval = tuple[float, float]
OTHERS = (
    "Not all of these cells have the same utterances (another call chose others, or some "
    "failed), so a part of a difference may be theirs. melmoat compare takes those that two cells "
    "share."
)


@dataclass(frozen=True)
class SystemSummary:
    """One recognizer behind one defense on one corpus.

    Attributes:
        benign: the result without an attack; None if it was not measured.
        attacked: every other untargeted result that has rows.
        targeted: the results of targeted attacks, whose WER says little about the worst case.
        audited: the findings of the audit, also for recognizers without a defense.
    """

    model: str
    defense: str
    data: str
    seed: int
    benign: Result | None
    attacked: tuple[Result, ...]
    audited: Audited
    targeted: tuple[Result, ...] = ()

    @property
    def name(self) -> str:
        """The name of the model and the defense."""
        return system(self.model, self.defense, self.audited.labels)

    @property
    def heading(self) -> tuple[str, str]:
        """The system in two parts, for a page."""
        return heading(self.model, self.defense, self.audited.labels)

    @property
    def data_name(self) -> str:
        """The name of the corpus."""
        return self.audited.data_name

    @property
    def tried(self) -> list[Result]:
        """The results of attacks. Noise is only a control and does not count as an attack."""
        return [r for r in self.attacked if setting(r.cell.attack).access != "control"]

    @property
    def worst(self) -> Result | None:
        """The result of the strongest attack; None if there was no attack."""
        return strongest(self.tried)

    @property
    def suspect(self) -> bool:
        """Whether the audit found a sign of a false sense of security."""
        return self.audited.verdict == "suspect"


def systems(results: Sequence[Result], audited: Sequence[Audited]) -> list[SystemSummary]:
    """The systems of a run, in its order. Each one has an entry in ``audited``."""
    verdicts = {(a.model, a.defense, a.data, a.seed): a for a in audited}
    summaries = []
    for place in dict.fromkeys(r.system for r in results):
        measured = [r for r in results if r.system == place and r.rows and r.error_rate is not None]
        benign = next((r for r in measured if r.cell.attack == "none"), None) or _unattacked(
            measured
        )
        attacked = tuple(r for r in measured if r.cell.attack != "none" and not r.targeted)
        targeted = tuple(r for r in measured if r.targeted)
        summaries.append(SystemSummary(*place, benign, attacked, verdicts[place], targeted))
    return summaries


def _unattacked(measured: Sequence[Result]) -> Result | None:
    """The benign result, from the benign transcripts in attacked rows."""
    if not measured:
        return None
    most = max(measured, key=lambda r: len(r.rows))
    rows = {
        name: {
            **row,
            "adversarial": row["benign"],
            "target": None,
            "counts": {**row["counts"], "adversarial": row["counts"]["benign"], "target": None},
        }
        for name, row in most.rows.items()
    }
    return replace(most, rows=rows)


def strongest(pool: Sequence[Result]) -> Result | None:
    """The result with the highest error rate among those with the most utterances: results on few
    utterances cannot be compared."""
    full = max((len(r.rows) for r in pool), default=0)
    whole = [r for r in pool if len(r.rows) == full]
    return max(whole, key=lambda r: r.error_rate or 0.0, default=None)


def mixed(results: Iterable[Result]) -> str:
    """A note if cells of one corpus and seed were measured on other utterances, also where the
    numbers of these agree; empty if those of fewer utterances have a part of those of larger
    ones."""
    groups: dict[tuple[str, int], list[Set[str]]] = {}
    for r in results:
        groups.setdefault((r.cell.data, r.cell.seed), []).append(r.rows.keys())
    pairs = (pair for sets in groups.values() for pair in pairwise(sorted(sets, key=len)))
    return "" if all(fewer <= more for fewer, more in pairs) else OTHERS


def ranked(
    pools: Sequence[tuple[SystemSummary, Sequence[Result]]], most: int
) -> list[tuple[int, int] | None]:
    """The places of systems by the strongest of the attacks that all of them have.

    If the same attack was run with several gradients, the strongest one counts. Systems that are
    suspect, or have no attack on ``most`` utterances, have no place and do not limit the common
    attacks.
    """
    whole = []
    for s, pool in pools:
        full = [r for r in pool if len(r.rows) == most and not s.suspect]
        whole.append({r.cell.attack: r for r in sorted(full, key=lambda r: r.error_rate or 0.0)})
    met = [set(results) for results in whole if results]
    common = set.intersection(*met) if met else set()
    worst = [strongest([r for a, r in results.items() if a in common]) for results in whole]
    return places([r.interval if r else None for r in worst])


def places(intervals: Sequence[Interval | None]) -> list[tuple[int, int] | None]:
    """Best and worst possible place of each row, given its interval; lower is better.

    Rows whose intervals overlap are not told apart. A row is better only if its interval lies
    completely below. None if there is no interval.

    >>> places([(1, 2), (3, 5), (4, 6), None])
    [(1, 1), (2, 3), (2, 3), None]
    """
    known = [i for i in intervals if i is not None]
    result: list[tuple[int, int] | None] = []
    for interval in intervals:
        if interval is None:
            result.append(None)
            continue
        better = sum(other[1] < interval[0] for other in known)
        worse = sum(other[0] > interval[1] for other in known)
        result.append((1 + better, len(known) - worse))
    return result


def place_text(place: tuple[int, int] | None) -> str:
    """A place for printing.

    >>> place_text((2, 3)), place_text((1, 1)), place_text(None)
    ('2 to 3', '1', '-')
    """
    if place is None:
        return "-"
    return str(place[0]) if place[0] == place[1] else f"{place[0]} to {place[1]}"


def metrics(results: Iterable[Result]) -> str:
    """The names of the rates in ``results``: WER, CER, or both."""
    return " / ".join(dict.fromkeys(r.metric for r in results)) or "WER"


def wer_text(result: Result | None, most: int = 0) -> str:
    """Error rate with its interval over utterances. A targeted attack also has the rate against its
    target. The number of utterances is added if it is below ``most``."""
    if result is None:
        return "-"
    more = ""
    if result.targeted:
        reached = [bool(row["reached"]) for row in result.rows.values()]
        target, share = rate(*result.errors("target")), rate(reached, [1] * len(reached))
        more = f", {target_text(target, share or 0.0)}"
    return rate_text(result.error_rate, result.interval, len(result.rows), most, more)


def cost_text(result: Result | None) -> str:
    """What an attack cost an utterance, on average: seconds, and passes of the recognizer where all
    rows have them.

    >>> cost_text(None)
    '-'
    """
    if result is None or not result.rows or result.cell.attack == "none":
        return "-"
    rows = list(result.rows.values())
    seconds = sum(row["seconds"] for row in rows) / len(rows)
    queries = [row.get("queries") for row in rows]
    known = [count for count in queries if count is not None]
    passes = f", {sum(known) / len(known):.0f} passes" if len(known) == len(rows) else ""
    return f"{seconds:.2f} s{passes}"


def by_speaker(result: Result | None) -> tuple[Interval, int] | None:
    """The interval of a WER over speakers, and their number; None if they are few or unknown."""
    if result is None:
        return None
    known = speakers_of(result.cell.data, result.rows)
    if known is None or len(set(known.values())) < MIN_SPEAKERS:
        return None
    interval = bootstrap(*result.errors(), groups=[known[i] for i in result.rows])
    return (interval, len(set(known.values()))) if interval else None

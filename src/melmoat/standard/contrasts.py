"""How two members of an ensemble compare.

Errors are capped, and they are those of the judging draws. So an utterance that has fallen counts
the same before and after every later member, and the cascade hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from melmoat.analysis.evidence import ENOUGH, MARGIN, Finding, Status
from melmoat.analysis.results import Comparison
from melmoat.metrics.errors import METRICS
from melmoat.metrics.intervals import needed, paired, rate
from melmoat.standard.book import Book
from melmoat.standard.levels import Level
from melmoat.standard.members import SIZED, Role

_SEVERITY: tuple[Status, ...] = ("n/a", "ok", "missing", "open", "sign")
GRADIENT: tuple[Role, ...] = ("noise", "gradient", "targeted")


class Contrasts:
    """Members against each other, paired over utterances."""

    def __init__(self, book: Book) -> None:
        self.book, self.totals = book, [book.total(name) for name in book.ids]

    def rate_at(self, level: Level) -> float:
        """The worst case at a level, of what has a size in dB. What a sender changes, such as the
        rate, has none."""
        chosen = [self.book.worst(level, i, SIZED) for i in self.book.ids]
        return rate(self.book.judged(chosen), self.totals) or 0.0

    def compare(
        self, names: tuple[str, str], ours: Sequence[float], other: Sequence[float]
    ) -> Comparison:
        """One list of errors of all utterances minus another one."""
        return Comparison(
            *names,
            "reference",
            len(ours),
            paired(ours, other, self.totals),
            needed=needed(ours, other, self.totals, MARGIN),
            metric=f"capped {METRICS[self.book.unit]}",
        )

    def between(self, level: Level, one: str, other: str) -> Comparison:
        """One member minus another, where both attacked."""
        first, second = self.book.of(level, one), self.book.of(level, other)
        ours, theirs = [], []
        for i in self.book.ids:
            both = i in first and i in second
            ours.append(self.book.judged([first[i]])[0] if both else 0.0)
            theirs.append(self.book.judged([second[i]])[0] if both else 0.0)
        return self.compare((f"{one}, {level.name}", other), ours, theirs)

    def against_gradient(self, level: Level, member: str) -> Comparison:
        """One member minus the worst of the gradient members, where it attacked."""
        found = self.book.of(level, member)
        ours, theirs = [], []
        for i in self.book.ids:
            best = self.book.worst(level, i, GRADIENT)
            ours.append(self.book.judged([found[i]])[0] if i in found else 0.0)
            theirs.append(self.book.judged([best])[0] if i in found else 0.0)
        return self.compare((f"{member}, {level.name}", "gradient members"), ours, theirs)

    def with_and_without(self, level: Level, member: str) -> Comparison:
        """What a member adds to the worst case of those before it."""
        names = [m.name for at, m in self.book.members if at == level]
        before = set(names[: names.index(member)])
        ours, theirs = [], []
        for i in self.book.ids:
            every = self.book.candidates(level, i)
            earlier = [c for c in every if c.level != level or c.member in before]
            now = [c for c in every if c in earlier or c.member == member]
            ours.append(self.book.judged([max(now, key=self.book.harm)])[0])
            theirs.append(self.book.judged([max(earlier, key=self.book.harm)])[0])
        return self.compare((f"with {member}, {level.name}", "without"), ours, theirs)

    def added(self, level: Level, member: str) -> float:
        """Points of capped error rate that a member added to those before it."""
        difference = self.with_and_without(level, member).difference
        return difference.points if difference else 0.0


def last_adds_nothing(
    contrasts: Contrasts, name: str, steps: Iterable[tuple[Level, Sequence[str]]], what: str
) -> Finding:
    """Whether the last member of each level adds nothing to those before it."""
    gains = [contrasts.with_and_without(level, members[-1]) for level, members in steps if members]
    if not gains:
        return Finding(name, "ok", "already broken by less")
    statuses = [_converged(gain) for gain in gains]
    status = max(statuses, key=_SEVERITY.index)
    texts = {
        "ok": f"{what} adds less than {MARGIN:g} points",
        "sign": f"{what} still adds more than {MARGIN:g} points: it had not converged",
        "open": "too few utterances to tell",
    }
    figures = tuple(g for s, g in zip(statuses, gains, strict=True) if s == status)
    return Finding(name, status, texts[status], figures)


def nobody_gains(name: str, gains: Sequence[Comparison], well: str, bad: str, none: str) -> Finding:
    """Whether none of ``gains``, which should be nothing, is something."""
    if not gains:
        return Finding(name, "ok", none)
    statuses = [_nothing(gain) for gain in gains]
    status = max(statuses, key=_SEVERITY.index)
    texts = {"ok": well, "sign": bad, "open": "too few utterances to tell"}
    figures = tuple(g for s, g in zip(statuses, gains, strict=True) if s == status)
    return Finding(name, status, texts[status], figures if status != "ok" else ())


def _nothing(gain: Comparison) -> Status:
    d = gain.difference
    if d is not None and d.low > 0 and d.p < 0.05:
        return "sign"
    small = d is not None and d.high <= MARGIN and gain.n >= ENOUGH
    return "ok" if small else "open"


def _converged(gain: Comparison) -> Status:
    """As :func:`_nothing`; but what is added to a worst case is never negative, so that a sign is
    more than ``MARGIN`` points."""
    d = gain.difference
    if d is not None and d.points > MARGIN and d.low > 0 and d.p < 0.05:
        return "sign"
    small = d is not None and d.high <= MARGIN and gain.n >= ENOUGH
    return "ok" if small else "open"


def low(pair: Comparison) -> float:
    """The lower end of a difference's interval."""
    return pair.difference.low if pair.difference else float("-inf")

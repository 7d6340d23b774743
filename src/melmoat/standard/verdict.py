"""The verdict: every check of the audit, answered by members of the ensemble.

Errors are capped, and they are those of the judging draws. So an utterance that has fallen counts
the same before and after every later member, and the cascade hides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from melmoat.analysis.audit import EXITS, Verdict
from melmoat.analysis.evidence import BROKEN, ENOUGH, MARGIN, Finding, Status
from melmoat.analysis.results import Comparison
from melmoat.metrics.errors import METRICS
from melmoat.metrics.intervals import needed, paired, rate
from melmoat.standard.book import Book
from melmoat.standard.figures import CLEAN
from melmoat.standard.levels import LARGE, Level
from melmoat.standard.members import SIZED, Role, Walk
from melmoat.standard.probe import FOLLOWED, HUGE, TINY, Probe
from melmoat.standard.subject import Subject

_SEVERITY: tuple[Status, ...] = ("n/a", "ok", "missing", "open", "sign")
GRADIENT: tuple[Role, ...] = ("noise", "gradient", "targeted")
NONE_FLOWS = "none flows"  # how the finding on the gradient begins where it is a stand-in
UNDOUBLED = "more draws a step were not tried: one draw's votes take all passes of this effort"


class Evidence:
    """What a run knows of one system.

    Args:
        levels: those that were measured.
        doubled: for each level, the members of each doubling of the draws, in order.
        rounds: for each level and walk, the members of each round of member 4, in order.
        failed: utterances on which a gradient member failed, by member.
    """

    def __init__(
        self,
        subject: Subject,
        book: Book,
        levels: Sequence[Level],
        probe: Probe,
        stochastic: bool,
        doubled: Mapping[Level, Sequence[str]],
        rounds: Mapping[tuple[Level, Walk], Sequence[str]],
        failed: Mapping[str, int],
    ) -> None:
        self.subject, self.book, self.levels, self.probe = subject, book, tuple(levels), probe
        self.stochastic, self.doubled, self.rounds = stochastic, doubled, rounds
        self.failed = failed
        self.totals = [book.total(name) for name in book.ids]

    def findings(self) -> tuple[Finding, ...]:
        """Every check: those of the audit by its names, and those of the live system."""
        return (
            self._live_gradient(),
            self._declared(),
            self._same_ears(),
            self._adaptive(),
            self._exact(),
            self._eot(),
            self._converged(),
            self._weaker(),
            self._more("more steps"),
            self._more("more restarts"),
            self._large(),
            self._noise(),
            self._smaller(),
            self._fresh(),
        )

    # What the live system shows before anything is attacked.

    def _live_gradient(self) -> Finding:
        name, p = "live gradient", self.probe
        stand_in = self.subject.approximate
        if self.subject.differentiable is False and not stand_in and self._bpda:
            return Finding(name, "ok", "none, as declared: the gradient members take BPDA")
        if p.gradient is None:
            return Finding(name, "sign", "no gradient reaches the waveform, or it is NaN or Inf")
        if p.gradient == 0:
            return Finding(name, "sign", "zero: the defense masks it")
        if not TINY <= p.gradient <= HUGE:
            what = "vanishes" if p.gradient < TINY else "explodes"
            return Finding(
                name, "sign", f"{what}: {p.gradient:.1g} times that of the recognizer alone"
            )
        if stand_in:  # small steps change no code, so nothing follows from where they lead
            text = f"a stand-in, as declared: {p.gradient:.2g} times that of the recognizer alone"
            if p.followed is not None:
                text += f"; the loss follows it to {p.followed:.1g} times what it predicts"
            return Finding(name, "ok", text)
        if p.followed is not None and not FOLLOWED <= p.followed <= 1 / FOLLOWED:
            text = f"leads nowhere: the loss changes by {p.followed:.1g} times what it predicts"
            return Finding(name, "sign", text)
        return Finding(name, "ok", f"{p.gradient:.2g} times that of the recognizer alone")

    @property
    def _bpda(self) -> bool:
        return "bpda" in self.subject.variants

    def _declared(self) -> Finding:
        name, p = "declared randomness", self.probe
        if not p.repeatable:
            text = "the same draws give different losses: it draws from elsewhere"
            return Finding(name, "sign", text)
        if p.stochastic and self.subject.stochastic is False:
            return Finding(name, "sign", "it declares none, but the loss changes with the draws")
        if not p.stochastic and self.subject.stochastic:
            text = "it declares noise, but every draw has the same: an attacker knows it"
            return Finding(name, "sign", text)
        return Finding(name, "ok", "random" if p.stochastic else "none")

    def _same_ears(self) -> Finding:
        name = "same to attacker and judge"
        if self.probe.same:
            return Finding(name, "ok", "a pass for a gradient has the loss of a pass without")
        text = "the loss differs if a gradient is asked for: it tells attackers from the judge"
        return Finding(name, "sign", text)

    # The audit's checks.

    def _adaptive(self) -> Finding:
        name = "adaptive attack"
        failed = {member: n for member, n in self.failed.items() if n}
        if failed:
            said = ", ".join(f"{member}: {n}" for member, n in failed.items())
            return Finding(name, "open", f"gradient members failed on utterances ({said})")
        moved = any(
            candidate.row["snr_db"] is not None
            for level, member in self.book.members
            if member.role == "gradient"
            for candidate in self.book.of(level, member.name).values()
        )
        alive = [level for level in self.levels if self.book.of(level, "apgd")]
        if not alive:
            return Finding(name, "n/a", "clean speech or noise breaks it already")
        if not moved:
            return Finding(name, "sign", "no gradient member changed a sample")
        return Finding(name, "ok", "members 1 to 4 had its gradient")

    def _exact(self) -> Finding:
        name = "exact gradient"
        others = ", ".join(self.subject.variants)
        if self.subject.approximate:
            text = f"{NONE_FLOWS}; the gradient members took the defense's stand-in"
            if others:
                return Finding(name, "ok", f"{text}; also tried: {others}")
            return Finding(name, "open", f"{text}; no other was tried")
        if self.subject.differentiable is False:
            if self._bpda:
                text = f"{NONE_FLOWS}; members 1 to 4 took BPDA"
                also = "; lattice knew the levels" if self.subject.rounds else ""
                return Finding(name, "ok", f"{text}{also}")
            return Finding(name, "sign", f"{NONE_FLOWS}, and the defense has no gradient=bpda")
        text = "one graph from the loss to the waveform"
        if self.probe.gradient is None:
            return Finding(name, "sign", "no gradient reaches the waveform")
        return Finding(name, "ok", f"{text}; also tried: {others}" if others else text)

    def _eot(self) -> Finding:
        name = "EOT"
        if not self.stochastic:
            return Finding(name, "n/a", "two passes do not differ")
        if self._undoubled:
            return Finding(name, "open", UNDOUBLED)
        pairs = [
            (level, members[0], members[-1])
            for level, members in self.doubled.items()
            if len(members) > 1
        ]
        gains = [self._between(level, one, many) for level, one, many in pairs]
        return self._less(name, gains, "averages over draws are no weaker than one",
                          "one draw breaks more than many: the attack does not optimise well",
                          "the first draw left nothing to attack")  # fmt: skip

    def _converged(self) -> Finding:
        name = "EOT converged"
        if not self.stochastic:
            return Finding(name, "n/a", "two passes do not differ")
        if self._undoubled:
            return Finding(name, "open", UNDOUBLED)
        return self._last(name, self.doubled.items(), "the last doubling of draws")

    @property
    def _undoubled(self) -> bool:
        """Whether one draw left something to attack, and no more draws were tried."""
        return any(len(members) == 1 for members in self.doubled.values())

    def _weaker(self) -> Finding:
        name = "weaker attackers"
        gains = [
            self._against_gradient(level, member.name)
            for level, member in self.book.members
            if member.role == "weaker"
        ]
        return self._less(
            name,
            gains,
            "none of BPDA, transfer and blocks breaks more than the gradient",
            "an attacker who knows less breaks more: the gradient is masked",
            "the gradient left nothing to attack",
        )

    def _more(self, name: str) -> Finding:
        rounds = [(level, names) for (level, _), names in self.rounds.items()]
        return self._last(name, rounds, "the last round of member 4")

    def _large(self) -> Finding:
        name = "large budget"
        rates = {level: self._rate(level) for level in self.levels if level.norm == "l2"}
        broken = [(level, r) for level, r in rates.items() if r >= BROKEN]
        if broken:
            level, r = broken[0]
            return Finding(name, "ok", f"broken at {level.name}: {r:.1f} % (worst case)")
        text = f"{rates.get(LARGE, 0.0):.1f} % at {LARGE.name}: so loud an attack must break it"
        return Finding(name, "sign", text)

    def _noise(self) -> Finding:
        name = "noise of the same size"
        best: Comparison | None = None
        for level in self.levels:
            found = self.book.of(level, "noise")
            if not found:
                continue
            chosen = [self.book.worst(level, i, SIZED) for i in self.book.ids]
            # An utterance that had fallen before counts as noise's too: nothing to tell there.
            control = [found.get(i, c) for i, c in zip(self.book.ids, chosen, strict=True)]
            pair = self._compare(
                (f"worst case, {level.name}", "noise"),
                self.book.judged(chosen),
                self.book.judged(control),
            )
            if best is None or _low(pair) > _low(best):
                best = pair
        if best is None:
            return Finding(name, "n/a", "clean speech breaks already")
        if _low(best) > 0 and best.difference is not None and best.difference.p < 0.05:
            return Finding(name, "ok", "the ensemble breaks more than noise", (best,))
        if best.difference is not None and best.difference.high <= MARGIN and best.n >= ENOUGH:
            return Finding(name, "sign", "noise does as much harm: no attack works", (best,))
        return Finding(name, "open", "too few utterances to tell", (best,))

    def _smaller(self) -> Finding:
        name = "smaller budgets"
        gains = []
        for level in self.levels:
            smaller = [one for one in self.levels if one != level and level.contains(one)]
            if not smaller or not self.book.of(level, "noise"):
                continue
            names = {member.name for at, member in self.book.members if at == level} | {CLEAN}
            own, carried = [], []
            for i in self.book.ids:
                every = self.book.candidates(level, i)
                here = [c for c in every if c.level == level]
                before = [c for c in every if c.level != level and c.member in names]
                carried.append(max(before, key=self.book.harm))
                # What had fallen was attacked by a target alone, which shows nothing here.
                tried = any(c.role == "gradient" for c in here)
                own.append(max(here, key=self.book.harm) if tried else carried[-1])
            gains.append(
                self._compare(
                    (f"smaller than {level.name}", level.name),
                    self.book.judged(carried),
                    self.book.judged(own),
                )
            )
        return self._less(
            name,
            gains,
            "no smaller budget breaks more than a larger one",
            "a smaller budget breaks more than a larger one",
            "one budget only, or all fell at the smallest",
        )

    def _fresh(self) -> Finding:
        name = "fresh draws"
        if not self.stochastic:
            return Finding(name, "n/a", "two passes do not differ")
        return Finding(name, "ok", "ten draws choose, ten others judge; no choice on the latter")

    # How two members compare.

    def _rate(self, level: Level) -> float:
        # What a sender changes, such as the rate, has no size in dB.
        chosen = [self.book.worst(level, i, SIZED) for i in self.book.ids]
        return rate(self.book.judged(chosen), self.totals) or 0.0

    def _compare(
        self, names: tuple[str, str], ours: Sequence[float], other: Sequence[float]
    ) -> Comparison:
        return Comparison(
            *names,
            "reference",
            len(ours),
            paired(ours, other, self.totals),
            needed=needed(ours, other, self.totals, MARGIN),
            metric=f"capped {METRICS[self.book.unit]}",
        )

    def _between(self, level: Level, one: str, other: str) -> Comparison:
        """One member minus another, where both attacked."""
        first, second = self.book.of(level, one), self.book.of(level, other)
        ours, theirs = [], []
        for i in self.book.ids:
            both = i in first and i in second
            ours.append(self.book.judged([first[i]])[0] if both else 0.0)
            theirs.append(self.book.judged([second[i]])[0] if both else 0.0)
        return self._compare((f"{one}, {level.name}", other), ours, theirs)

    def _against_gradient(self, level: Level, member: str) -> Comparison:
        """One member minus the worst of the gradient members, where it attacked."""
        found = self.book.of(level, member)
        ours, theirs = [], []
        for i in self.book.ids:
            best = self.book.worst(level, i, GRADIENT)
            ours.append(self.book.judged([found[i]])[0] if i in found else 0.0)
            theirs.append(self.book.judged([best])[0] if i in found else 0.0)
        return self._compare((f"{member}, {level.name}", "gradient members"), ours, theirs)

    def _added(self, level: Level, member: str) -> Comparison:
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
        return self._compare((f"with {member}, {level.name}", "without"), ours, theirs)

    def added(self, level: Level, member: str) -> float:
        """Points of capped error rate that a member added to those before it."""
        difference = self._added(level, member).difference
        return difference.points if difference else 0.0

    def _last(self, name: str, steps: Iterable[tuple[Level, Sequence[str]]], what: str) -> Finding:
        gains = [self._added(level, members[-1]) for level, members in steps if members]
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

    def _less(
        self, name: str, gains: Sequence[Comparison], well: str, bad: str, none: str
    ) -> Finding:
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


def _low(pair: Comparison) -> float:
    return pair.difference.low if pair.difference else float("-inf")


def verdict(findings: Iterable[Finding]) -> Verdict:
    """As :attr:`melmoat.analysis.audit.Audited.verdict`."""
    found = {finding.status for finding in findings}
    if "sign" in found:
        return "suspect"
    return "incomplete" if found & {"missing", "open"} else "no sign found"


def exit_code(said: Verdict) -> int:
    """0 where no sign was found, 3 where one was, 4 where evidence is missing or thin."""
    return EXITS[said]

"""The verdict: every check of the audit, answered by members of the ensemble."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from melmoat.analysis.audit import EXITS, Verdict
from melmoat.analysis.evidence import BROKEN, ENOUGH, MARGIN, Finding
from melmoat.analysis.results import Comparison
from melmoat.standard.book import Book
from melmoat.standard.contrasts import Contrasts, last_adds_nothing, low, nobody_gains
from melmoat.standard.figures import CLEAN
from melmoat.standard.levels import LARGE, Level
from melmoat.standard.members import SIZED, Walk
from melmoat.standard.probe import FOLLOWED, HUGE, TINY, Probe
from melmoat.standard.subject import Subject

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
        self.contrasts = Contrasts(book)

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
        return Finding(name, "ok", "they had a gradient that moves samples")

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
        gains = [self.contrasts.between(level, one, many) for level, one, many in pairs]
        return nobody_gains(name, gains, "averages over draws are no weaker than one",
                          "one draw breaks more than many: the attack does not optimise well",
                          "the first draw left nothing to attack")  # fmt: skip

    def _converged(self) -> Finding:
        name = "EOT converged"
        if not self.stochastic:
            return Finding(name, "n/a", "two passes do not differ")
        if self._undoubled:
            return Finding(name, "open", UNDOUBLED)
        return last_adds_nothing(
            self.contrasts, name, self.doubled.items(), "the last doubling of draws"
        )

    @property
    def _undoubled(self) -> bool:
        """Whether one draw left something to attack, and no more draws were tried."""
        return any(len(members) == 1 for members in self.doubled.values())

    def _weaker(self) -> Finding:
        name = "weaker attackers"
        gains = [
            self.contrasts.against_gradient(level, member.name)
            for level, member in self.book.members
            if member.role == "weaker"
        ]
        return nobody_gains(
            name,
            gains,
            "none of BPDA, transfer and blocks breaks more than the gradient",
            "an attacker who knows less breaks more: the gradient is masked",
            "the gradient left nothing to attack",
        )

    def _more(self, name: str) -> Finding:
        rounds = [(level, names) for (level, _), names in self.rounds.items()]
        return last_adds_nothing(self.contrasts, name, rounds, "the last round of member 4")

    def _large(self) -> Finding:
        name = "large budget"
        rates = {
            level: self.contrasts.rate_at(level) for level in self.levels if level.norm == "l2"
        }
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
            pair = self.contrasts.compare(
                (f"worst case, {level.name}", "noise"),
                self.book.judged(chosen),
                self.book.judged(control),
            )
            if best is None or low(pair) > low(best):
                best = pair
        if best is None:
            return Finding(name, "n/a", "clean speech breaks already")
        if low(best) > 0 and best.difference is not None and best.difference.p < 0.05:
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
                self.contrasts.compare(
                    (f"smaller than {level.name}", level.name),
                    self.book.judged(carried),
                    self.book.judged(own),
                )
            )
        return nobody_gains(
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


def verdict(findings: Iterable[Finding]) -> Verdict:
    """As :attr:`melmoat.analysis.audit.Audited.verdict`."""
    found = {finding.status for finding in findings}
    if "sign" in found:
        return "suspect"
    return "incomplete" if found & {"missing", "open"} else "no sign found"


def exit_code(said: Verdict) -> int:
    """0 where no sign was found, 3 where one was, 4 where evidence is missing or thin."""
    return EXITS[said]

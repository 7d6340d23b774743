"""Signs of a false sense of security in a run (Carlini et al. 2019; Tramer et al. 2020).

A robustness number is an upper bound: an attack failed, a better one may not. Each defended row of
a run is searched for what those papers found behind numbers that did not last. Evidence that was
not measured counts against the row as well: an audit that passes on missing rows is worth nothing.
The comparisons themselves are in :mod:`melmoat.analysis.evidence` and, of the attackers' gradient,
in :mod:`melmoat.analysis.gradient`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from melmoat.analysis import evidence, gradient, missing
from melmoat.analysis.evidence import Finding
from melmoat.analysis.results import Result
from melmoat.analysis.variants import (
    Setting,
    facts,
    gradients,
    informed,
    rounds,
    setting,
    siblings,
)
from melmoat.bench.labels import Labels, heading, shown, system
from melmoat.errors import MelmoatError
from melmoat.models import MODELS

Verdict = Literal["suspect", "incomplete", "no sign found"]
EXITS: dict[Verdict, int] = {"no sign found": 0, "suspect": 3, "incomplete": 4}


@dataclass(frozen=True)
class System:
    """One row: a recognizer behind a defense, or behind none, and what was measured of it.

    Attributes:
        own: results of untargeted attacks and of no attack, with what is known of each attack.
        others: the same of this defense where its attacker was given another gradient.
        gradient: what this row's attackers were given: exact, resampled or bpda; of a neural codec
            straight, soft or bpda.
        gradients: what they could be given, the default first.
        stochastic: whether two passes differ; None where the defense cannot be built here.
    """

    model: str
    defense: str
    data: str
    seed: int
    own: Sequence[tuple[Setting, Result]]
    others: Sequence[tuple[str, Setting, Result]] = ()
    gradient: str = "exact"
    gradients: Sequence[str] = ("exact",)
    stochastic: bool | None = True
    differentiable: bool | None = True
    labels: Labels = field(default_factory=dict)


@dataclass(frozen=True)
class Audited:
    """A row with everything that was looked for.

    Attributes:
        wanted: what to measure for the evidence that is missing: pairs of a defense and an attack.
        needed: utterances that would settle what is open; 0 where nobody knows.
    """

    model: str
    defense: str
    data: str
    seed: int
    findings: tuple[Finding, ...]
    labels: Labels = field(default_factory=dict)
    wanted: tuple[tuple[str, str], ...] = ()
    needed: int = 0

    @property
    def name(self) -> str:
        """What the model and the defense are called."""
        return system(self.model, self.defense, self.labels)

    @property
    def heading(self) -> tuple[str, str]:
        """The system in two parts, for a page."""
        return heading(self.model, self.defense, self.labels)

    @property
    def data_name(self) -> str:
        """What the corpus is called."""
        return shown("data", self.data, self.labels)

    @property
    def verdict(self) -> Verdict:
        """``suspect`` with any sign; else ``incomplete`` where evidence lacks; else none found."""
        found = {finding.status for finding in self.findings}
        if "sign" in found:
            return "suspect"
        return "incomplete" if found & {"missing", "open"} else "no sign found"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "verdict": self.verdict}


CHECKS: dict[str, Callable[[System], Finding]] = {
    "adaptive attack": lambda s: gradient.adaptive(s.own),
    "exact gradient": lambda s: (
        gradient.exact(
            s.gradient, s.differentiable, s.own, s.others, informed(s.defense), rounds(s.defense)
        )
        if "exact" in s.gradients
        else gradient.stand_in(s.gradient, s.gradients, s.own, s.others)
    ),
    "EOT": lambda s: evidence.eot(s.own, s.stochastic),
    "EOT converged": lambda s: evidence.converged(s.own, s.stochastic),
    "weaker attackers": lambda s: evidence.weaker(
        s.own, s.others if s.gradient == s.gradients[0] else ()
    ),
    "more steps": lambda s: evidence.effort(s.own, "steps"),
    "more restarts": lambda s: evidence.effort(s.own, "restarts"),
    "large budget": lambda s: evidence.large(s.own),
    "noise of the same size": lambda s: evidence.noise(s.own),
    "smaller budgets": lambda s: evidence.monotone(s.own),
    "fresh draws": lambda s: evidence.fresh(s.own, s.stochastic),
}


def audit(results: Iterable[Result], bare: bool = False) -> list[Audited]:
    """Examine every defended row of a run, in the run's order.

    Args:
        bare: recognizers without a defense as well, which may have been trained to be robust.
    """
    return [_audited(s) for s in systems(list(results), bare)]


def _audited(s: System) -> Audited:
    findings = tuple(check(s) for check in CHECKS.values())
    wanted = missing.wanted(s.model, s.defense, s.own, findings, s.differentiable)
    needed = missing.utterances(findings)
    return Audited(s.model, s.defense, s.data, s.seed, findings, s.labels, wanted, needed)


def systems(results: Sequence[Result], bare: bool = False) -> list[System]:
    """The rows of a run that are defended, or all of them. Targeted attacks are left out, as are
    those that want a text without end: their WER says little."""
    measured = [(setting(r.cell.attack), r) for r in results if r.rows and not r.targeted]
    usable = [(s, r) for s, r in measured if not s.endless]
    found = []
    for place in dict.fromkeys(r.system for r in results):
        model, defense, data, seed = place
        if defense == "none" and not bare:
            continue
        gradient, same = siblings(defense)
        own_code = defense == "none" and _foreign(model)  # may hide a defense
        stochastic, differentiable = (None, None) if own_code else facts(same)
        found.append(
            System(
                *place,
                own=[(s, r) for s, r in usable if r.system == place],
                others=[
                    (siblings(r.cell.defense)[0], s, r)
                    for s, r in usable
                    if r.system != place
                    and (r.cell.model, r.cell.data, r.cell.seed) == (model, data, seed)
                    and siblings(r.cell.defense)[1] == same
                ],
                gradient=gradient,
                gradients=tuple(gradients(same)) or ("exact",),
                stochastic=stochastic,
                differentiable=differentiable,
                labels=next(r.labels for r in results if r.system == place),
            )
        )
    return found


def _foreign(model: str) -> bool:
    try:
        return MODELS.parse(model).foreign
    except MelmoatError:  # a recognizer of another version
        return False


def exit_code(audited: Iterable[Audited]) -> int:
    """3 where a row is suspect, else 4 where one is incomplete or there is none, else 0."""
    found = {EXITS[a.verdict] for a in audited}
    return min(found - {0}, default=0 if found else 4)

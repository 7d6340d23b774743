"""The evidence that a row lacks, as attacks to measure: each derived from the row's own strongest.

What :mod:`melmoat.analysis.evidence` found ``missing`` is told in specs, and
:func:`command` writes the whole ``melmoat bench`` that measures them into the same run.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from melmoat.analysis.evidence import ENOUGH, LARGE_DB, Finding, Measured
from melmoat.analysis.variants import Setting, gradients, informed, rounds, setting, siblings
from melmoat.attacks import ATTACKS
from melmoat.attacks.budgets import L2, SNR, Linf, LinfSNR
from melmoat.bench.cell import foreign
from melmoat.errors import MelmoatError
from melmoat.objects import is_object
from melmoat.spec import options, show, spelling

Pair = tuple[str, str]  # a defense and an attack
SIZES = ("eps", "db", "ratio")
BUDGET = ("norm", *SIZES)
FIRST = "pgd:db=20,steps=100"  # where no attack has been tried at all
DRAWS, QUERIES = 5, 2000


def wanted(
    model: str,
    defense: str,
    own: Measured,
    findings: Iterable[Finding],
    differentiable: bool | None = True,
) -> tuple[Pair, ...]:
    """What to measure so that no check of a row is ``missing``; and BPDA where no gradient flows,
    or every other stand-in for it.

    Args:
        own: the row's untargeted results.
    """
    lacking = {finding.check: finding for finding in findings}
    row = _Row(model, own)
    found: list[Pair] = []
    for check, finding in lacking.items():
        if finding.status == "missing" or (check, finding.status) == ("adaptive attack", "open"):
            found += [(defense, attack) for attack in row.attacks(check)]
    exact = lacking.get("exact gradient")
    if exact is not None and exact.status == "sign" and differentiable is False:
        best = informed(defense)
        found += [(best, row.base())] if best else []
    if exact is not None and exact.status == "missing":
        given, offered = siblings(defense)[0], gradients(defense)
        if rounds(defense):
            found.append((defense, row.lattice()))
        elif "exact" not in offered:
            found += [(other, row.base()) for kind, other in offered.items() if kind != given]
    return tuple(dict.fromkeys(found))


def utterances(findings: Iterable[Finding]) -> int:
    """How many utterances would settle what is ``open``; 0 where nothing is or nobody knows."""
    figures = [f for finding in findings if finding.status == "open" for f in finding.figures]
    return max((max(figure.needed or 0, ENOUGH) for figure in figures), default=0)


def command(
    run: str, place: tuple[str, str, int], pairs: Sequence[Pair], asked: Mapping[str, Any]
) -> list[str]:
    """The ``melmoat bench`` commands that measure ``pairs`` into ``run``, one for each defense.

    Args:
        place: model, corpus and seed.
        asked: the run's settings, as ``run.json`` has them: they choose the same utterances.
    """
    model, corpus, seed = place
    commands = []
    for defense in dict.fromkeys(defense for defense, _ in pairs):
        attacks = [attack for own, attack in pairs if own == defense]
        if any(is_object(part) for part in (model, defense, *attacks)):
            continue  # of an object that Python handed over
        words = ["melmoat", "bench", "--out", run, "--model", model, "--defense", defense]
        words += ["--data", corpus]
        words += ["--seed", str(seed)] if seed else []
        words += ["--limit", str(asked["limit"])] if asked.get("limit") else []
        spread = asked.get("choose", "spread") == "spread"  # which earlier versions always did
        words += ["--choose", "spread"] if asked.get("limit") and spread else []
        lines = [shlex.join(words), *(f"--attack {shlex.quote(attack)}" for attack in attacks)]
        commands.append(" \\\n    ".join(lines))
    return commands


class _Row:
    """The attacks of one row, and what is derived from them."""

    def __init__(self, model: str, own: Measured) -> None:
        self.model = model
        ours = [(s, r) for s, r in own if s.white and not _foreign(r.cell.attack)]
        ours.sort(key=lambda pair: pair[1].error_rate or 0.0, reverse=True)
        self.whites = [
            (s, r.cell.attack) for s, r in ours if s.budget is not None and "attack" not in s.args
        ]
        self.tried = {r.cell.attack for _, r in own}
        self.budget = next((_budget(s) for s, _ in self.whites), None) or next(
            (given for s, _ in own if (given := _budget(s))), None
        )

    def base(self, key: str = "") -> str:
        """The strongest gradient attack that has the option ``key``, or else a PGD of the row's
        budget."""
        for s, attack in self.whites:
            if not key or key in s.args:
                return attack
        return changed(FIRST, self.budget) if self.budget else str(ATTACKS.parse(FIRST))

    def lattice(self) -> str:
        """The attack on what rounds, with the options of the strongest."""
        args = ATTACKS.parse(self.base()).args
        shared = ("steps", "restarts", "eot", "chunk", "keep", "loss", "against")
        given = {key: args[key] for key in shared if args.get(key) is not None}
        return changed("lattice:db=20", _budget_of(self.base()) | given)

    def attacks(self, check: str) -> list[str]:
        """What the check called ``check`` wants."""
        base = self.base()
        if check == "adaptive attack":
            return [base]
        if check == "EOT":
            averaged = self.base("eot")
            return [*self._new(averaged), changed(averaged, {"eot": self._other_draws(averaged)})]
        if check == "EOT converged":
            return self._doubled("eot", DRAWS)
        if check in ("more steps", "more restarts"):
            return self._doubled(check.removeprefix("more "), 1)
        if check == "weaker attackers":
            return [
                *self._new(base),
                self._black(base),
                f"transfer:model={show(self.model)},attack={show(base)}",
            ]
        if check == "large budget":
            return [changed(self.base("db"), _fresh(norm="snr", db=LARGE_DB))]
        if check == "noise of the same size":
            return [*self._new(base), changed("noise:db=20", _budget_of(base))]
        if check == "smaller budgets":
            return [*self._new(base), _smaller(base)]
        return ["none"] if check == "fresh draws" else []

    def _new(self, attack: str) -> list[str]:
        return [] if attack in self.tried else [attack]

    def _doubled(self, key: str, least: int) -> list[str]:
        """The strongest attack, and the same with more of an option, not tried yet."""
        base = self.base(key)
        value = max(int(ATTACKS.parse(base).args[key]), least)
        more = base
        while more == base or more in self.tried:
            value *= 2
            more = changed(base, {key: value})
        return [*self._new(base), more]

    @staticmethod
    def _other_draws(attack: str) -> int:
        return DRAWS if ATTACKS.parse(attack).args["eot"] == 1 else 1

    @staticmethod
    def _black(base: str) -> str:
        return changed(f"nes:db=20,queries={QUERIES}", _budget_of(base))


def changed(spec: str, given: Mapping[str, Any]) -> str:
    """An attack's spec with other values of some options; None takes an option out."""
    name, _, rest = spec.partition(":")
    kept = [one for one in options(rest) if one.partition("=")[0] not in given]
    new = [f"{key}={show(value)}" for key, value in given.items() if value is not None]
    return str(ATTACKS.parse(spelling(name, [*kept, *new])))


def _fresh(**given: Any) -> dict[str, Any]:
    return dict.fromkeys(BUDGET) | given


def _budget(s: Setting) -> dict[str, Any] | None:
    """An attack's budget as options; None if it has none that can be written so."""
    given = {key: s.args.get(key) for key in BUDGET}
    named = "norm" in s.args and any(given[key] is not None for key in SIZES)
    if s.budget is not None and named:
        return given
    match s.budget:  # of a file, or of the attack inside
        case Linf(eps=eps):
            return _fresh(norm="linf", eps=eps)
        case L2(eps=eps):
            return _fresh(norm="l2", eps=eps)
        case LinfSNR(db=db):
            return _fresh(norm="linf", db=db)
        case SNR(db=db):
            return _fresh(norm="snr", db=db)
    return None


def _budget_of(attack: str) -> dict[str, Any]:
    return _budget(setting(attack)) or _fresh(db=20.0)


def _smaller(attack: str) -> str:
    """The same with half the radius, or 6 dB less."""
    own = _budget_of(attack)
    if own["db"] is not None:
        return changed(attack, {"db": own["db"] + 6})
    if own["ratio"] is not None:
        return changed(attack, {"ratio": own["ratio"] * 4})
    return changed(attack, {"eps": own["eps"] / 2})


def _foreign(attack: str) -> bool:
    try:
        return is_object(attack) or foreign(ATTACKS.parse(attack))
    except MelmoatError:
        return True

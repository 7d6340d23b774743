"""Splits the specs of attacks and defenses, to find those that differ in one option only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from melmoat import defenses
from melmoat.attacks import ATTACKS
from melmoat.attacks.base import Access, ThreatModel
from melmoat.attacks.budgets import Budget
from melmoat.attacks.endless import ENDLESS
from melmoat.bench.cell import foreign
from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.facts import OfGradient, Part
from melmoat.spec import SpecError, choices, marks, show, spelling, without
from melmoat.vocoders import VOCODERS


@dataclass(frozen=True)
class Setting:
    """The parts of an attack's spec. For an unknown attack ``args`` has the text, and ``budget``
    and ``access`` are None."""

    name: str
    access: Access | None
    args: dict[str, Any] = field(default_factory=dict)
    budget: Budget | None = None

    @property
    def white(self) -> bool:
        """Whether the attack has the gradient of the system that it attacks."""
        return self.access == "white-box"

    @property
    def endless(self) -> bool:
        """Whether the attack, or the one inside, wants a text that does not end."""
        inner = self.args.get("attack")
        inside = isinstance(inner, str) and setting(inner).endless
        return inside or self.args.get("target") == ENDLESS

    def but(self, *keys: str) -> tuple[Any, ...]:
        """Everything except some options, to find attacks that differ only in these."""
        rest = {k: v for k, v in self.args.items() if k not in (*keys, "chunk")}
        return self.name, tuple(sorted(rest.items(), key=lambda pair: pair[0]))


def setting(attack: str) -> Setting:
    """Split an attack's spec."""
    try:
        spec = ATTACKS.parse(attack)
    except SpecError:  # an attack of another version
        return Setting(attack.partition(":")[0], None, {"spec": attack})
    access = ATTACKS.access(spec)
    if foreign(spec):
        args = {**spec.args, **{key: _plain(value) for key, value in spec.others.items()}}
        return Setting(spec.name, access, args, _named_budget(args))
    try:
        return Setting(spec.name, access, dict(spec.args), ATTACKS.build(attack).budget)
    except MelmoatError:  # a file that it names is gone
        return Setting(spec.name, access, {"spec": attack})


def _plain(value: str) -> int | float | str:
    """An option of a user's attack: its type is unknown unless its code is run."""
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


def _named_budget(args: Mapping[str, Any]) -> Budget | None:
    """The budget of an attack if its options have our names; otherwise None."""
    options = {key: args[key] for key in ("norm", "eps", "db", "ratio") if key in args}
    try:
        return ThreatModel(**options).budget if options else None
    except (TypeError, ValueError):
        return None


def gradients(defense: str) -> dict[str, str]:
    """Specs of the same defense with each gradient for attackers that its option ``gradient`` has,
    the default first, by the gradient's name. Empty if it has no such option."""
    try:
        spec = DEFENSES.parse(defense)
    except SpecError:  # a defense of another version
        return {}
    kinds = choices(spec.factory, "gradient")
    if not kinds:
        return {}
    plain = without(spec, "gradient")
    own = str(DEFENSES.parse(plain).args["gradient"])
    name, _, rest = plain.partition(":")
    given = [rest] if rest else []
    return {own: plain} | {
        kind: str(DEFENSES.parse(spelling(name, [*given, f"gradient={kind}"])))
        for kind in kinds
        if kind != own
    }


def siblings(defense: str) -> tuple[str, str]:
    """The gradient that a defense's spec gives attackers, and its spec without another one.

    The gradient is the exact one, but not with ``gradient=``, in a defense that has no exact one
    (the neural codecs), or if the gradient of a vocoder runs through a
    part of it only (``griffin-lim:through=2``, called "through=2" here). The gradient of a vote is
    that of its passes, and that of a chain is the first of its links that is not exact.
    """
    try:
        spec = DEFENSES.parse(defense)
    except SpecError:
        return "exact", defense
    gradient, text = str(spec.args.get("gradient", "exact")), without(spec, "gradient")
    for key, mark in marks(spec.factory).items():
        if isinstance(mark, OfGradient):
            text = without(DEFENSES.parse(text), key)
        if isinstance(mark, Part) and mark.kind == "defense":
            of_link, inner_text = siblings(str(spec.args[key]))
            text = around(text, key, inner_text)
            gradient = gradient if gradient != "exact" else of_link
        if not (isinstance(mark, Part) and mark.kind == "vocoder"):
            continue
        vocoder = str(spec.args[key])
        try:
            inner = VOCODERS.parse(vocoder)
        except SpecError:
            continue
        if (through := inner.args.get("through")) is None:
            continue
        partial, whole = f"{key}={show(vocoder)}", f"{key}={show(without(inner, 'through'))}"
        text = str(DEFENSES.parse(text.replace(partial, whole)))
        gradient = gradient if gradient != "exact" else f"through={through}"
    return gradient, text


def around(defense: str, key: str, inner: str) -> str:
    """The canonical spelling of a defense around another one, its option ``key``."""
    spec = DEFENSES.parse(defense)
    parts = {**spec.parts, key: f"{key}={show(inner)}"}  # in their order: the first has no name
    return str(DEFENSES.parse(spelling(spec.name, list(parts.values()))))


@lru_cache(maxsize=64)
def facts(defense: str) -> tuple[bool | None, bool | None]:
    """Whether a defense is stochastic and differentiable; None where it cannot be built here, and
    for somebody's own, since reading a run must not run its code."""
    try:
        made = defenses.build(defense)
    except MelmoatError:
        return None, None
    if foreign(DEFENSES.parse(defense)):
        return None, None
    return defenses.declared(made)


def informed(defense: str) -> str | None:
    """The spec whose attackers know most: they have the exact gradient, and BPDA for each link of a
    chain that has none, and for these alone. A stand-in of its own is kept. None without a way.
    """
    plain = siblings(defense)[1]
    if facts(plain)[1] is not False:
        return plain
    if kinds := gradients(plain):
        return kinds.get("bpda") if "exact" in kinds else plain
    parts = marks(DEFENSES.parse(plain).factory).items()
    keys = [key for key, mark in parts if isinstance(mark, Part) and mark.kind == "defense"]
    for key in keys:
        inner = informed(str(DEFENSES.parse(plain).args[key]))
        if inner is None:
            return None
        plain = around(plain, key, inner)
    return plain if keys else None


@lru_cache(maxsize=64)
def rounds(defense: str) -> bool:
    """Whether a defense rounds the samples before anything else
    (:class:`melmoat.defenses.Rounding`); False where it cannot be built here."""
    best = informed(defense)
    try:
        made = defenses.build(best) if best and not foreign(DEFENSES.parse(best)) else None
    except MelmoatError:
        return False
    if isinstance(made, defenses.Votes):
        made = made.inner
    front = defenses.function_of_audio(made) if made else None
    return front is not None and isinstance(front.rounding, defenses.Rounding)

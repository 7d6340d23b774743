"""Attacks and defenses taken apart by their specs, to find those that differ in one thing alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from melmoat.attacks import ATTACKS
from melmoat.attacks.budgets import Budget
from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.spec import SpecError, show, without
from melmoat.vocoders import VOCODERS

CONTROLS = ("none", "noise")
ACCESS = {  # what attackers without the defended system's gradient have; all others have it
    "kenansville": "black-box",
    "genetic": "black-box",
    "nes": "black-box",
    "transfer": "transfer",
    "universal": "transfer",
}


@dataclass(frozen=True)
class Setting:
    """An attack taken apart; of one that is unknown here ``args`` is the text, ``budget`` None."""

    name: str
    args: dict[str, Any] = field(default_factory=dict)
    budget: Budget | None = None

    @property
    def white(self) -> bool:
        """Whether it follows the gradient of the very system that it attacks."""
        return self.name not in CONTROLS and self.name not in ACCESS

    def but(self, *keys: str) -> tuple[Any, ...]:
        """Everything except some options, to find attacks that differ in those alone."""
        rest = {k: v for k, v in self.args.items() if k not in (*keys, "chunk")}
        return self.name, tuple(sorted(rest.items(), key=lambda pair: pair[0]))


def setting(attack: str) -> Setting:
    """Take an attack's spec apart."""
    try:
        spec = ATTACKS.parse(attack)
        return Setting(spec.name, dict(spec.args), ATTACKS.build(attack).budget)
    except MelmoatError:  # an attack of another version, or a file of its that is gone
        return Setting(attack.partition(":")[0], {"spec": attack})


def siblings(defense: str) -> tuple[str, str]:
    """The gradient that a defense's spec gives attackers, and its spec with the exact one.

    It is another one by ``gradient=``, or where a vocoder's own runs through a part of it only
    (``griffin-lim:through=2``, called "through=2" here).
    """
    try:
        spec = DEFENSES.parse(defense)
    except SpecError:
        return "exact", defense
    gradient, text = str(spec.args.get("gradient", "exact")), without(spec, "gradient")
    vocoder = str(spec.args.get("vocoder", ""))
    try:
        inner = VOCODERS.parse(vocoder)
    except SpecError:
        return gradient, text
    through = inner.args.get("through")
    if through is None:
        return gradient, text
    own, whole = f"vocoder={show(vocoder)}", f"vocoder={show(without(inner, 'through'))}"
    text = str(DEFENSES.parse(text.replace(own, whole)))
    return (gradient if gradient != "exact" else f"through={through}"), text

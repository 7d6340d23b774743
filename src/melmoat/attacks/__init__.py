"""Attacks, by spec string."""

from melmoat.attacks.apgd import APGD
from melmoat.attacks.base import Aim, Attack, Goal, NoAttack, Targeted, Untargeted
from melmoat.attacks.cw import CW, CW2018
from melmoat.attacks.gradient import PGD
from melmoat.attacks.imperceptible import Imperceptible
from melmoat.attacks.kenansville import Kenansville
from melmoat.attacks.noise import Noise
from melmoat.spec import Family

ATTACKS: Family[Attack] = Family(
    "attack",
    {
        "apgd": APGD,
        "cw": CW,
        "cw2018": CW2018,
        "imperceptible": Imperceptible,
        "kenansville": Kenansville,
        "noise": Noise,
        "none": NoAttack,
        "pgd": PGD,
    },
)


def build(spec: str) -> Attack:
    """Build an attack from its spec."""
    return ATTACKS.build(spec)


__all__ = [
    "APGD",
    "ATTACKS",
    "PGD",
    "Aim",
    "Attack",
    "Goal",
    "NoAttack",
    "Targeted",
    "Untargeted",
    "build",
]

"""Attacks, by spec string."""

from melmoat.attacks.apgd import APGD
from melmoat.attacks.base import Aim, Attack, Ball, Goal, NoAttack, Targeted, Untargeted
from melmoat.attacks.genetic import Genetic
from melmoat.attacks.gradient import PGD
from melmoat.attacks.kenansville import Kenansville
from melmoat.attacks.nes import NES
from melmoat.attacks.noise import Noise
from melmoat.attacks.universal import universal
from melmoat.spec import Family

ATTACKS: Family[Attack] = Family(
    "attack",
    {
        "apgd": APGD,
        "genetic": Genetic,
        "kenansville": Kenansville,
        "nes": NES,
        "noise": Noise,
        "none": NoAttack,
        "pgd": PGD,
        "universal": universal,
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
    "Ball",
    "Goal",
    "NoAttack",
    "Targeted",
    "Untargeted",
    "build",
]

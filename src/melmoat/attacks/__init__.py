"""Attacks, by spec string."""

from melmoat.attacks.apgd import APGD
from melmoat.attacks.base import Aim, Attack, Ball, Goal, NoAttack, Targeted, Untargeted
from melmoat.attacks.cw import CW, CW2018
from melmoat.attacks.genetic import Genetic
from melmoat.attacks.gradient import PGD
from melmoat.attacks.imperceptible import Imperceptible
from melmoat.attacks.kenansville import Kenansville
from melmoat.attacks.nes import NES
from melmoat.attacks.noise import Noise
from melmoat.attacks.transfer import Transfer
from melmoat.attacks.universal import universal
from melmoat.spec import Family


def transfer(model: str, attack: str, defense: str = "none") -> Transfer:
    """``attack`` crafted on ``model`` behind ``defense``, whatever system is judged."""
    return Transfer(model, defense, build(attack))


ATTACKS: Family[Attack] = Family(
    "attack",
    {
        "apgd": APGD,
        "cw": CW,
        "cw2018": CW2018,
        "genetic": Genetic,
        "imperceptible": Imperceptible,
        "kenansville": Kenansville,
        "nes": NES,
        "noise": Noise,
        "none": NoAttack,
        "pgd": PGD,
        "transfer": transfer,
        "universal": universal,
    },
)


def build(spec: str) -> Attack:
    """Build an attack from its spec."""
    return ATTACKS.build(spec)


__all__ = [
    "APGD",
    "ATTACKS",
    "CW",
    "CW2018",
    "NES",
    "PGD",
    "Aim",
    "Attack",
    "Ball",
    "Genetic",
    "Goal",
    "Imperceptible",
    "Kenansville",
    "NoAttack",
    "Noise",
    "Targeted",
    "Transfer",
    "Untargeted",
    "build",
    "transfer",
    "universal",
]

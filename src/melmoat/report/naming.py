"""Names of attacks for readers, where a run has no labels of its own."""

from __future__ import annotations

from melmoat.attacks import ATTACKS
from melmoat.spec import Spec, SpecError

NAMES = {
    "apgd": "AutoPGD",
    "cw": "C&W",
    "nes": "NES",
    "none": "no attack",
    "pgd": "PGD",
}
BUDGET = ("norm", "eps", "db", "ratio")


def attack_name(spec: str) -> str:
    """An attack's spec in words. Any other text, such as a label, stays as it is.

    >>> attack_name("pgd:norm=snr,db=20,steps=10"), attack_name("none")
    ('PGD, 20 dB SNR, 10 steps', 'no attack')
    >>> attack_name("pgd:norm=linf,db=30"), attack_name("Our attack")
    ('PGD, 30 dB linf', 'Our attack')
    """
    return ", ".join([_name(spec), *filter(None, [budget_name(spec)]), *_others(spec)])


def family_name(spec: str) -> str:
    """The same without the budget.

    >>> family_name("pgd:db=20,steps=10")
    'PGD, 10 steps'
    """
    return ", ".join([_name(spec), *_others(spec)])


def budget_name(spec: str) -> str:
    """The budget of an attack's spec; an empty text if it names none.

    >>> budget_name("kenansville:db=20"), budget_name("pgd:norm=linf,eps=0.01"), budget_name("none")
    ('20 dB SNR', 'linf eps 0.01', '')
    """
    parsed = _parsed(spec)
    if parsed is None:
        return ""
    args, norm = parsed.args, parsed.args.get("norm", "snr")
    kind = "SNR" if norm == "snr" else norm
    if (db := args.get("db")) is not None:
        return f"{db:g} dB {kind}" if isinstance(db, float) else f"{db} dB {kind}"
    options = [(key, args[key]) for key in ("eps", "ratio") if args.get(key) is not None]
    return f"{norm} {options[0][0]} {options[0][1]}" if options and "norm" in args else ""


def _parsed(spec: str) -> Spec | None:
    try:
        return ATTACKS.parse(spec)
    except SpecError:  # a label, or an attack of another version
        return None


def _values(spec: Spec) -> dict[str, str]:
    """Its options as they are written."""
    return {key: text.removeprefix(f"{key}=") for key, text in spec.parts.items()}


def _name(spec: str) -> str:
    parsed = _parsed(spec)
    if parsed is None:
        return spec
    return NAMES.get(parsed.name, parsed.name.capitalize())


def _others(spec: str) -> list[str]:
    parsed = _parsed(spec)
    parts = _values(parsed) if parsed else {}
    known = BUDGET if budget_name(spec) else ()
    return [_option(key, value) for key, value in parts.items() if key not in known]


def _option(key: str, value: str) -> str:
    if key in ("steps", "restarts"):
        return f"{value} {key if value != '1' else key[:-1]}"
    return key if value == "true" else f"{key} {value}"

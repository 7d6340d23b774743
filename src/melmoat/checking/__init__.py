"""Is a recognizer, a defense or an attack what it says it is?

:func:`check` tries a part on two recordings of the speech that ships, and says in plain words what
is right and what is wrong. ``melmoat check`` prints it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

from melmoat import custom
from melmoat.attacks import ATTACKS
from melmoat.checking.at_first import check_at_first
from melmoat.checking.attack import check_attack
from melmoat.checking.defense import check_defense
from melmoat.checking.lines import Line, Status
from melmoat.checking.recognizer import check_recognizer
from melmoat.defenses import DEFENSES, FrontEnd
from melmoat.errors import MelmoatError, alike
from melmoat.models import MODELS, Recognizer
from melmoat.spec import Registry

Kind = Literal["model", "defense", "attack"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_FAMILIES: dict[Kind, Registry[Any]] = {"model": MODELS, "defense": DEFENSES, "attack": ATTACKS}


def check(
    part: object, kind: Kind | None = None, model: str | Recognizer = "ds2-an4"
) -> list[Line]:
    """Try a part and say what is right and what is wrong.

    Args:
        part: a spec, or an object of your own.
        kind: what it is; found out if None.
        model: the recognizer that a defense or an attack is tried on.

    Raises:
        MelmoatError: the part cannot be built, or its kind is not known.

    >>> {line.status for line in check("median")} <= {"ok", "note"}
    True
    """
    return list(each_check(part, kind, model))


def each_check(
    part: object, kind: Kind | None = None, model: str | Recognizer = "ds2-an4"
) -> Iterator[Line]:
    """As :func:`check`, line by line as they are known."""
    kind = kind or (kind_of_spec(part) if isinstance(part, str) else kind_of(part))
    made = _FAMILIES[kind].build(part) if isinstance(part, str) else part
    if kind == "model":
        return check_recognizer(made)
    heard_by = MODELS.build(model) if isinstance(model, str) else model
    return (check_defense if kind == "defense" else check_attack)(made, heard_by)


def kind_of_spec(spec: str) -> Kind:
    """What the part of a spec is: by its name, or for ``python:`` by what its factory makes.

    Raises:
        MelmoatError: no part or several are called so.
    """
    name = spec.partition(":")[0]
    known = [kind for kind, family in _FAMILIES.items() if name in family.names]
    if not known:
        near = alike(name, [part for family in _FAMILIES.values() for part in family.names])
        raise MelmoatError(
            f"no recognizer, defense or attack is called {name!r}{near}; `melmoat list` shows all, "
            "and your own is python:MODULE:FACTORY"
        )
    if len(known) == 1:
        return known[0]
    if name != "python":
        raise MelmoatError(f"{name!r} is a {' and a '.join(known)}: say which by --kind")
    parsed = MODELS.parse(spec)
    return kind_of(custom.make(parsed.args["target"], parsed.others))


def kind_of(made: object) -> Kind:
    """What an object is, by what it has.

    Raises:
        MelmoatError: it is none of the three.
    """
    if isinstance(made, FrontEnd) or callable(getattr(made, "wrap", None)):
        return "defense"
    if callable(getattr(made, "transcribe", None)) or hasattr(made, "log_probs"):
        return "model"
    if hasattr(made, "budget") or hasattr(made, "evaluations") or hasattr(made, "access"):
        return "attack"
    raise MelmoatError(
        f"a {type(made).__name__} is no recognizer (transcribe and loss), no defense (a FrontEnd, "
        "or wrap) and no attack (budget, evaluations, goal); say by --kind what it is to be"
    )


__all__ = [
    "KINDS",
    "Kind",
    "Line",
    "Status",
    "check",
    "check_at_first",
    "each_check",
    "kind_of",
    "kind_of_spec",
]

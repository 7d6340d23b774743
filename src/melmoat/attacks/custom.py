"""Somebody's own attack."""

from __future__ import annotations

from typing import cast

from melmoat import custom
from melmoat.attacks.base import Access, Attack, AttackError, access_of
from melmoat.facts import rests_on


@rests_on(custom.origin)
def python(target: str, access: Access | None = None, **options: str) -> Attack:
    """Your own attack: ``python:MODULE:FACTORY,steps=9`` calls FACTORY(steps=9) of MODULE.

    ``access`` is what the attack itself declares. The bench writes it into the spec, so that
    reading a run needs none of its code.
    """
    made = custom.make(target, options)
    wrong = [f"no {name}" for name in ("budget", "evaluations") if not hasattr(made, name)]
    wrong += ["no method goal"] if not callable(getattr(made, "goal", None)) else []
    wrong += ["it cannot be called"] if not callable(made) else []
    if wrong:
        raise AttackError(
            f"python:{target} made a {type(made).__name__}, which is no attack: "
            f"{', '.join(wrong)} (docs/attacks.md)"
        )
    declared = access_of(made)
    if access not in (None, declared):
        raise AttackError(f"python:{target} declares the access {declared!r}, not {access!r}")
    return cast(Attack, made)

"""A link that opens the page with a form filled in. It starts nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from melmoat.errors import MelmoatError
from melmoat.studio.choices import MOST_STEPS, STRONGEST, WEAKEST, Offer, checked_target

LARGEST_SEED = 2**31
LONGEST_NUMBER = 10  # digits


@dataclass(frozen=True)
class Form:
    """What a visitor set, in the order of the page.

    Args:
        example: name of an example; None for a recording of the visitor's own, which no link has.
    """

    example: str | None
    model: str
    attack: str
    target: str
    db: float
    steps: float
    defense: str
    adaptive: bool
    seed: float

    def query(self) -> str:
        """The query of a link that sets the same; an example and a target only where there is one.

        >>> Form(None, "m", "pgd", "GO ON", 20.0, 50.0, "none", True, 0).query()
        '?model=m&attack=pgd&target=GO+ON&db=20&steps=50&defense=none&adaptive=true&seed=0'
        """
        said = {field.name: _written(getattr(self, field.name)) for field in fields(self)}
        said["target"] = " ".join(self.target.split())
        return "?" + urlencode({name: text for name, text in said.items() if text})


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.0f}" if isinstance(value, int | float) else str(value or "")


def asked(
    query: Mapping[str, str], offer: Offer, examples: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """What a link sets, by the name of the field, and why some of it is left out.

    Names that are no fields are for others, such as Gradio's.
    """
    ask: dict[str, Any] = {}
    wrong: list[str] = []
    for field in fields(Form):
        if field.name not in query:
            continue
        try:
            ask[field.name] = _read(field.name, query[field.name], offer, examples)
        except MelmoatError as error:
            wrong.append(str(error))
    return ask, wrong


def _read(name: str, text: str, offer: Offer, examples: Collection[str]) -> Any:
    if name in ("model", "attack", "defense"):
        return offer.check(f"{name}s", text)
    if name == "example":
        if text not in examples:
            raise MelmoatError(f"there is no example {text[:100]!r}")
        return text
    if name == "target":
        return checked_target(text)
    if name == "adaptive":
        if text not in ("true", "false"):
            raise MelmoatError(f"adaptive is true or false; got {text[:100]!r}")
        return text == "true"
    least, most = {
        "db": (STRONGEST, WEAKEST),
        "steps": (1, MOST_STEPS),
        "seed": (0, LARGEST_SEED),
    }[name]
    short = text.isascii() and text.isdigit() and len(text) <= LONGEST_NUMBER
    if not short or not least <= int(text) <= most:
        raise MelmoatError(
            f"{name} is a whole number from {least:.0f} to {most:.0f}; got {text[:100]!r}"
        )
    return int(text)

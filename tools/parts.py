"""Put the tables of parts into the documents that show them.

python tools/parts.py

A document has ``<!-- parts: FAMILY -->`` and ``<!-- end -->`` around each table, such as
``parts: attack``. What is between them is made from the registry: each part's name and the first
sentence of its docstring. ``parts: names`` has the names of all families.
"""

import inspect
from typing import Any

import documents

from melmoat.attacks import ATTACKS
from melmoat.data import CORPORA
from melmoat.defenses import DEFENSES
from melmoat.detectors import DETECTORS
from melmoat.models import MODELS
from melmoat.objects import OBJECT
from melmoat.vocoders import VOCODERS

PLACE = documents.place(r"parts: (\w+)")
FAMILIES = {
    family.kind: family for family in (MODELS, VOCODERS, DEFENSES, DETECTORS, ATTACKS, CORPORA)
}


def sentence(text: str) -> str:
    """The first sentence of a docstring, as Markdown without its full stop."""
    first = " ".join(text.split("\n\n")[0].split()).replace("``", "`")
    return first.removesuffix(".").replace("|", r"\|")


def parts(kind: str) -> dict[str, Any]:
    """The parts of a family by name."""
    return {
        name: part
        for name, part in sorted(FAMILIES[kind].table.items())
        if part.__module__.startswith("melmoat.")  # and no part of another installed package
        if name != OBJECT  # which only a process that was passed an object has
    }


def table(kind: str) -> str:
    """The parts of a family as a Markdown table."""
    rows = [
        f"| `{name}` | {sentence(inspect.getdoc(part) or '')} |"
        for name, part in parts(kind).items()
    ]
    return "\n".join([f"| {kind} | |", "|---|---|", *rows]) + "\n"


def names() -> str:
    """The names of all families as a Markdown table."""
    rows = [f"| {kind} | {', '.join(f'`{name}`' for name in parts(kind))} |" for kind in FAMILIES]
    return "\n".join(["| family | parts |", "|---|---|", *rows]) + "\n"


def filled(text: str) -> str:
    """``text`` with every table as the registry has it now."""
    return documents.filled(text, PLACE, lambda kind: names() if kind == "names" else table(kind))


if __name__ == "__main__":
    documents.rewrite(filled)

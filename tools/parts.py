"""Put the tables of parts into the documents that show them.

python tools/parts.py

A document has ``<!-- parts: FAMILY -->`` and ``<!-- end -->`` around each table, such as
``parts: attack``. What is between them is made from the registry: each part's name and the first
sentence of its docstring.
"""

import inspect

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


def table(kind: str) -> str:
    """The parts of a family as a Markdown table."""
    family = FAMILIES[kind]
    rows = [
        f"| `{name}` | {sentence(inspect.getdoc(part) or '')} |"
        for name, part in sorted(family.table.items())
        if part.__module__.startswith("melmoat.")  # and no part of another installed package
        if name != OBJECT  # which only a process that was passed an object has
    ]
    return "\n".join([f"| {kind} | |", "|---|---|", *rows]) + "\n"


def filled(text: str) -> str:
    """``text`` with every table as the registry has it now."""
    return documents.filled(text, PLACE, table)


if __name__ == "__main__":
    documents.rewrite(filled)

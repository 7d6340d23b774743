"""Labels: names of a cell and its parts in tables, instead of their specs.

Labels belong to a cell. They are stored in ``run.json`` and in summaries, and are never part of a
cell's key. A label names a part (``model``, ``defense``, ``attack``, ``data``) or ``system``, a
model with its defense.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from melmoat.bench.cell import Cell
from melmoat.data import CORPORA
from melmoat.objects import is_object, name_of
from melmoat.spec import SpecError, show

Labels = Mapping[str, str]

PARTS = ("model", "defense", "attack", "data")
SEP = " / "  # between the parts of a cell's name
_BREAKS = ("Cc", "Zl", "Zp")  # line breaks, and control characters


def one_line(*texts: str) -> bool:
    """Whether texts have no line breaks and no control characters."""
    return not any(unicodedata.category(c) in _BREAKS for text in texts for c in text)


def labels_of(value: Any) -> Labels:
    """Labels from a file, checked.

    Raises:
        TypeError: they are not labels.
    """
    if not isinstance(value, dict) or not all(isinstance(v, str) and v for v in value.values()):
        raise TypeError(f"labels must be texts by name, got {value!r}")
    if not value.keys() <= {*PARTS, "system"} or not one_line(*value.values()):
        raise TypeError(f"labels of {', '.join(PARTS)} or system in one line, got {value!r}")
    return value


def shown(part: str, spec: str, labels: Labels | None = None) -> str:
    """The shown name of a part: its label, the name of an object, a corpus without its parent
    folders, or else its spec.

    >>> shown("defense", "rs"), shown("defense", "rs", {"defense": "RS"})
    ('rs', 'RS')
    >>> shown("data", "tsv:/home/me/speech/dev,shortest=3"), shown("data", "an4:an4/test")
    ('tsv:dev,shortest=3', 'an4:an4/test')
    """
    if labels and part in labels:
        return labels[part]
    if is_object(spec):
        return name_of(spec)
    return _corpus(spec) if part == "data" else spec


def _corpus(spec: str) -> str:
    try:
        paths = [v for v in CORPORA.parse(spec).args.values() if isinstance(v, Path)]
    except SpecError:
        return spec
    for path in paths:
        if path.is_absolute() or ".." in path.parts:
            spec = spec.replace(show(path), path.name or str(path), 1)
    return spec


def system(model: str, defense: str, labels: Labels | None = None) -> str:
    """The name of a model with its defense."""
    known = labels or {}
    names = [shown("model", model, known), shown("defense", defense, known)]
    return known.get("system") or SEP.join(names)


def heading(model: str, defense: str, labels: Labels | None = None) -> tuple[str, str]:
    """A system in two parts: model and defense, or its label and both of these."""
    known = labels or {}
    names = shown("model", model, known), shown("defense", defense, known)
    return (known["system"], SEP.join(names)) if "system" in known else names


def cell_name(cell: Cell, labels: Labels | None = None) -> str:
    """The name of a cell, without its corpus and seed."""
    return SEP.join(
        [system(cell.model, cell.defense, labels), shown("attack", cell.attack, labels)]
    )


def of_suite(names: Mapping[Cell, tuple[str, str]]) -> dict[Cell, Labels]:
    """The labels of a suite's cells: the names of its rows and columns."""
    return {cell: {"system": row, "attack": column} for cell, (row, column) in names.items()}


def of_parts(cells: Iterable[Cell], labels: Mapping[str, Mapping[str, str]]) -> dict[Cell, Labels]:
    """The labels of cells from the labels of their parts.

    Args:
        labels: for each part of ``PARTS`` the labels by spec; an empty label does not count.
    """
    result: dict[Cell, Labels] = {}
    for cell in cells:
        names = {part: labels.get(part, {}).get(getattr(cell, part)) for part in PARTS}
        filled = {part: label for part, label in names.items() if label}
        if filled:
            result[cell] = filled
    return result

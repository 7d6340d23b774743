"""``--label NAME=SPEC``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from melmoat.attacks import ATTACKS
from melmoat.bench.cell import Cell
from melmoat.bench.labels import PARTS, Labels, of_parts
from melmoat.data import CORPORA
from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.spec import Registry, SpecError

_FAMILIES: dict[str, Registry[Any]] = dict(
    zip(PARTS, (MODELS, DEFENSES, ATTACKS, CORPORA), strict=True)
)


def given_labels(given: Sequence[str], cells: Iterable[Cell]) -> dict[Cell, Labels]:
    """The labels of cells, whose parts were named as ``NAME=SPEC``.

    Raises:
        MelmoatError: a label without a spec, or of a spec that no cell has.
    """
    cells = list(cells)
    labels: dict[str, dict[str, str]] = {part: {} for part in PARTS}
    for text in given:
        label, equals, spec = text.partition("=")
        parts = [
            part for part in PARTS if _spelled(part, spec) in {getattr(c, part) for c in cells}
        ]
        if not (label.strip() and equals and parts):
            raise MelmoatError(
                f"--label {text!r}: expected NAME=SPEC with the spec of a --model, --defense, "
                "--attack or --data of this call, such as RS=rs:snr=15"
            )
        for part in parts:
            labels[part][_spelled(part, spec)] = label.strip()
    return of_parts(cells, labels)


def _spelled(part: str, spec: str) -> str:
    try:
        return str(_FAMILIES[part].parse(spec))
    except SpecError:
        return ""

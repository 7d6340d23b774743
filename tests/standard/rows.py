"""Rows of a run, made by hand."""

from collections.abc import Sequence
from typing import Any

from melmoat.bench.cell import Cell
from melmoat.metrics.errors import char_edits, word_operations
from melmoat.standard.members import Member, Role


def heard(reference: str, text: str) -> dict[str, Any]:
    """One draw."""
    words = reference.split()
    return {
        "text": text,
        "words": (*word_operations(reference, text), len(words)),
        "chars": char_edits(reference, text),
        "heard": len(text.split()),
    }


def row(
    name: str, reference: str, choosing: Sequence[str], judging: Sequence[str] | None = None
) -> dict[str, Any]:
    """One utterance of one member."""
    judged = choosing if judging is None else judging
    return {
        "id": name,
        "reference": reference,
        "snr_db": 20.0,
        "reached": True,
        "queries": 5,
        "steps": 5,
        "seconds": 0.5,
        "counts": {"target": None},
        "draws": {
            "choosing": [heard(reference, text) for text in choosing],
            "judging": [heard(reference, text) for text in judged],
        },
    }


def member(name: str, role: Role = "gradient") -> Member:
    """A member of this name."""
    return Member(name, role, Cell("m", "d", name, "x"))

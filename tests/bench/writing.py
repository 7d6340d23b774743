"""A hand-made run as a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from melmoat.analysis.results import Result
from melmoat.bench.store import Store


def write_run(folder: Path, results: Sequence[Result]) -> Store:
    store = Store(folder)
    store.begin([r.cell for r in results], {"batch": 8, "limit": 0})
    for made in results:
        store.append(made.cell, made.rows.values())
    store.summarise()
    return store

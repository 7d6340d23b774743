"""Measure a part of committed rows again, and say whether they are the same.

python tools/recompute.py results/an4 [--batch 8] [--cells 0]

Of each kind of defense and each kind of attack in the run, the cell that takes the fewest steps is
taken, and in it the batch of the shortest utterances, as the run had it. Corpora are looked for
below the current folder. Rows that differ only by the rounding of floating point show the same
transcripts and another last digit; a long attack can carry such a difference into a transcript.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from melmoat import data
from melmoat.attacks import ATTACKS
from melmoat.bench.cell import Cell
from melmoat.bench.store import Store
from melmoat.bench.worker import Unit, Worker, plan
from melmoat.defenses import DEFENSES

TEXTS = ("reference", "benign", "adversarial", "target", "reached", "counts")
NUMBERS = ("snr_db", "linf", "l2", "audible")


def kinds(store: Store) -> dict[str, Cell]:
    """One measured cell for each kind of defense, and for each kind of attack."""
    measured = [(rows[0]["steps"], cell) for cell in store.cells() if (rows := store.rows(cell))]
    chosen: dict[str, Cell] = {}
    for _, cell in sorted(measured, key=lambda pair: (pair[0], str(pair[1]))):
        attack, defense = ATTACKS.parse(cell.attack).name, DEFENSES.parse(cell.defense).name
        chosen.setdefault(f"attack {attack}", cell)
        if attack not in ("none", "noise"):
            chosen.setdefault(f"defense {defense}", cell)
    return chosen


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What two rows of one utterance do not agree on."""
    for name in TEXTS:
        one, other = old[name], new[name]
        if name == "counts":  # lists in a file
            other = {w: c and {u: list(pair) for u, pair in c.items()} for w, c in other.items()}
        if one != other:
            yield name
    for name in NUMBERS:
        one, other = old.get(name), new.get(name)
        if one != other and name in old:
            yield f"{name} by {abs(one - other):.1e}" if one and other else name


def again(store: Store, cell: Cell, batch: int, worker: Worker) -> str:
    """Measure the shortest utterances of ``cell`` again; what came of it in a few words."""
    rows = {row["id"]: row for row in store.rows(cell)}
    cuts = [cut for cut in data.load(cell.data) if cut.id in rows]
    shortest = plan(cuts, batch)[-1]
    done = worker.measure(Unit(cell, tuple(shortest), frozenset(cut.id for cut in shortest)))
    if done.failed:
        return f"failed: {next(iter(done.failed.values()))}"
    found = {row["id"]: list(differences(dict(rows[row["id"]]), dict(row))) for row in done.rows}
    same = sum(not fields for fields in found.values())
    more = "; ".join(f"{name}: {', '.join(fields)}" for name, fields in found.items() if fields)
    return f"{same} of {len(found)} rows equal to the bit" + (f" ({more})" if more else "")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--cells", type=int, default=0, help="at most so many; 0 for all")
    asked = parser.parse_args()
    store, worker = Store(asked.run), Worker()
    chosen = list(kinds(store).items())
    results: dict[Cell, str] = {}
    for kind, cell in chosen[: asked.cells or None]:
        print(f"{kind}: {cell.model} / {cell.defense} / {cell.attack}", flush=True)
        if cell not in results:
            results[cell] = again(store, cell, asked.batch, worker)
        print(f"    {results[cell]}", flush=True)

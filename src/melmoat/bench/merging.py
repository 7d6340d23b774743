"""Merges runs, and removes cells from a run."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from melmoat import files
from melmoat.bench import audio_store
from melmoat.bench.rows import Row
from melmoat.bench.store import Store, StoreError, cell_of, locked, write_json, writing

# Fields that may differ between two measurements of one utterance: time, device, commit.
_CIRCUMSTANCES = ("seconds", "revision", "device", "speech")


def merge(into: Path, other: Path) -> int:
    """Add the rows, failures, audio and labels of another run to a run; its own rows do not change.

    Args:
        into: the folder of a run, or a new one.

    Returns:
        The number of added rows.

    Raises:
        StoreError: there is no run; or the two runs have different rows of the same utterance and
            cell, a cell of one name with other files, or corpora of the same texts and other audio;
            or both are one folder; or another process is measuring one of the cells into ``into``.
            Then nothing is changed.
    """
    store, theirs = Store(into), _run(other)
    if into.resolve() == other.resolve():
        raise StoreError(f"{into} and {other} are the same folder; name another run")
    _refuse_other_files(store, theirs)
    with ExitStack() as claims:  # or that process would add rows that are merged meanwhile
        for key in theirs.keys().values():
            if (other / "cells" / f"{key}.jsonl").exists():
                rows = into / "cells" / f"{key}.jsonl"
                claims.enter_context(locked(rows, _busy(key, into)))
        return _merged(store, theirs)


def _merged(store: Store, theirs: Store) -> int:
    into, other = store.folder, theirs.folder
    new = {key: _new(store, theirs, key) for key in theirs.keys().values()}
    with locked(into / ".lock"):
        run, labels = store.run(), theirs.run()
        others = {cell["key"]: cell for cell in _keyed(theirs)}
        cells = [_of_both(cell, others.pop(cell["key"], {})) for cell in _keyed(store)]
        cells += others.values()
        calls = [_call(labels), *labels.get("earlier", [])]
        if not run:
            made = {**labels, "cells": cells}
        else:
            earlier = run.get("earlier", [])
            made = {**run, "cells": cells}
            made["earlier"] = earlier + [c for c in calls if c not in [_call(run), *earlier]]
        write_json(into / "run.json", made)
    for key, rows in new.items():
        if rows:
            store.append_of(key, rows)
        store.fail_of(key, _left(store, theirs, key))
        if (audio := audio_store.home(other, key)).is_dir():
            _copy(audio, audio_store.home(into, key))
    store.summarise()
    return sum(map(len, new.values()))


def _copy(audio: Path, home: Path) -> None:
    """Copy the audio in a folder into the folder ``home``, one file after another: an error of
    :func:`shutil.copytree` lists all of them."""
    with writing(home):
        home.mkdir(parents=True, exist_ok=True)
        for file in sorted(audio.glob("*.flac")):
            with files.replacing(home / file.name) as partial:
                shutil.copyfile(file, partial)


def remove(folder: Path, keys: Collection[str]) -> None:
    """Delete cells from a run: their rows, failures and audio.

    Raises:
        StoreError: there is no run, or another process is measuring one of the cells.
    """
    store = _run(folder)
    for key in keys:
        rows = folder / "cells" / f"{key}.jsonl"
        with locked(rows, _busy(key, folder)), writing(rows):
            rows.unlink()
            (folder / "failures" / f"{key}.jsonl").unlink(missing_ok=True)
            if (audio := audio_store.home(folder, key)).is_dir():
                shutil.rmtree(audio)
    with locked(folder / ".lock"):
        left = [cell for cell in _keyed(store) if cell["key"] not in keys]
        write_json(folder / "run.json", {**store.run(), "cells": left})
    store.summarise()


def _busy(key: str, folder: Path) -> str:
    return f"another process is measuring cell {key} in {folder}"


def _run(folder: Path) -> Store:
    store = Store(folder)
    if not store.run():
        raise StoreError(f"{folder}: no run.json here; expected the folder of a run")
    return store


def _call(run: Mapping[str, Any]) -> dict[str, Any]:
    """The options, versions and machine of the last call into a run."""
    names = ("asked", "versions", "machine", "revision")
    return {name: run[name] for name in names if name in run}


def _keyed(store: Store) -> Iterator[dict[str, Any]]:
    """The cells in a run's file, each with its key."""
    keys = store.keys()
    for cell in store.run().get("cells", []):
        if key := keys.get(cell_of(cell)):
            yield {**cell, "key": key}


def _of_both(cell: dict[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A cell of a run's file with the larger limit (0 is all), and the labels of the other one
    where it has none itself."""
    limits = [one["limit"] for one in (cell, other) if type(one.get("limit")) is int]
    labels = cell.get("labels") or other.get("labels")
    larger = {"limit": 0 if 0 in limits else max(limits)} if len(limits) == 2 else {}
    return {**cell, **larger} | ({"labels": labels} if labels else {})


def _refuse_other_files(into: Store, other: Store) -> None:
    """Check that no cell has another key in each run, where a table shows one of them alone, that
    no key is of other audio in each, and that no utterance is.

    Raises:
        StoreError: one has, or is.
    """
    ours, theirs = into.keys(), other.keys()
    for cell, key in theirs.items():
        if ours.get(cell, key) != key:
            raise StoreError(
                f"{into.folder} and {other.folder} have {cell.model} / {cell.defense} / "
                f"{cell.attack} on {cell.data} with other weights, texts or code (cells "
                f"{ours[cell]} and {key}), so they are not merged"
            )
    Store.apart(ours | theirs, {})
    heard, same = into.speech(ours), other.speech(theirs)
    if changed := [place for place, speech in same.items() if heard.get(place, speech) != speech]:
        corpus, utterance = min(changed)
        raise StoreError(
            f"{into.folder} and {other.folder} have rows of other audio or text of {utterance} of "
            f"{corpus} ({len(changed)} utterance(s) in all), so they are not merged"
        )


def _left(into: Store, other: Store, key: str) -> dict[str, str]:
    """Errors of utterances that have no row in either run, and no error in ``into``."""
    measured = {row["id"] for row in into.rows_of(key)}
    known = measured | into.failures_of(key).keys()
    return {name: why for name, why in other.failures_of(key).items() if name not in known}


def _new(into: Store, other: Store, key: str) -> list[Row]:
    """Rows of a cell that ``into`` lacks."""
    known = {row["id"]: row for row in into.rows_of(key)}
    new = []
    for row in other.rows_of(key):
        ours = known.get(row["id"])
        if ours is None:
            new.append(row)
            continue
        names = sorted((ours.keys() | row.keys()) - set(_CIRCUMSTANCES))
        if odd := [name for name in names if ours.get(name) != row.get(name)]:
            raise StoreError(
                f"{into.folder} and {other.folder} differ on {row['id']} of cell {key} "
                f"({', '.join(odd)}), so they are not merged"
            )
    return new

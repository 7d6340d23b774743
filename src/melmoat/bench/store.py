"""A run's folder: rows written as they are finished, a summary computed from them alone.

::

    run.json             what was asked, with versions, machine and code revision, call by call
    cells/<key>.jsonl    one row an utterance, with the revision that measured it
    failures/<key>.jsonl one line a failed try: id and error; the next call tries again
    summary.json         one object a cell
    audio/<key>/         <id>.clean.flac, <id>.adversarial.flac, <id>.defended.flac, when asked for
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from melmoat import files
from melmoat.bench.cell import NAMED, Cell
from melmoat.bench.labels import Labels, labels_of, one_line
from melmoat.bench.provenance import machine, revision, versions
from melmoat.bench.rows import Row, too_new
from melmoat.bench.summary import summary_of
from melmoat.data import same_speech
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.locks import hold

NEEDED = ("id", "counts")  # what every row has


class StoreError(MelmoatError):
    """The run's folder cannot be read or written; rows that were finished are kept."""


class Busy(StoreError):
    """Another process measures this cell now."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a read-only folder into an error that says what to do."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror or error}. Finished rows are kept; mend this "
            "and run the same command again to go on"
        ) from error


def write_json(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` in one step: a reader sees the old file or the new one, never a part."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as partial:
            partial.write_text(text, encoding="utf-8")


@contextmanager
def locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold ``path``, made if need be, against every other process that asks.

    Where one holds it already, wait, or raise :class:`Busy` with the message ``busy``.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        hold(file, Busy(busy) if busy else None)
        yield


class Store:
    """The folder of one run. Processes may share it while they measure different cells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(
        self,
        cells: Iterable[Cell],
        asked: Mapping[str, Any],
        labels: Mapping[Cell, Labels] | None = None,
    ) -> None:
        """Write ``run.json``; cells of earlier calls in this folder stay listed, and what was asked
        of them, with which code and where, under ``earlier``. So do their ``labels``
        (:mod:`melmoat.bench.labels`), but for those that are given anew."""
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; give the run a folder")
        try:
            asking = {cell_of(_told(cell)): cell.key for cell in cells}
        except TypeError as error:
            raise StoreError(f"a run cannot keep {error}") from error
        limits = dict.fromkeys(asking, asked.get("limit"))
        now = {
            "asked": dict(asked),
            "versions": versions(),
            "machine": machine(str(asked.get("device", CPU))),
            "revision": revision(),
        }
        with locked(self.folder / ".lock"):
            keys = self.apart(self.keys() | asking, asking)
            limits = self.limits() | limits
            named = self.labels() | {cell: dict(own) for cell, own in (labels or {}).items() if own}
            known = [
                {**_told(cell), "key": key, "limit": limits.get(cell)}
                | ({"labels": named[cell]} if cell in named else {})
                for cell, key in keys.items()
            ]
            run = self.run()
            earlier = run.pop("earlier", [])
            if last := {name: run[name] for name in now if name in run}:
                earlier.append(last)
            earlier = [call for i, call in enumerate(earlier) if call not in [now, *earlier[:i]]]
            write_json(self.folder / "run.json", {"cells": known, **now, "earlier": earlier})

    @staticmethod
    def apart(keys: Mapping[Cell, str], asking: Mapping[Cell, str]) -> dict[Cell, str]:
        """``keys`` with a cell once that has moved: a corpus that is another place's counts as its
        list of texts, so it is listened to.

        Raises:
            StoreError: two corpora have the same texts and other audio.
        """
        found: dict[str, Cell] = {}
        alike = cache(same_speech)
        for cell, key in keys.items():
            other = found.get(key)
            if other is not None and not alike(other.data, cell.data):
                raise StoreError(
                    f"{other.data} and {cell.data} have the same texts and other audio, which a "
                    "run does not tell apart: measure them in two folders (--out)"
                )
            if other is None or cell in asking:
                found[key] = cell
        return {cell: key for key, cell in found.items()}

    def limits(self) -> dict[Cell, int]:
        """How many utterances of its corpus each cell was last asked for, as far as is known; 0 is
        all."""
        return {
            cell_of(told): told["limit"]
            for told in self.run().get("cells", [])
            if type(told.get("limit")) is int
        }

    def labels(self) -> dict[Cell, Labels]:
        """What cells and their parts are called, of those that have labels."""
        told = self.run().get("cells", [])
        return {cell_of(one): labels_of(one["labels"]) for one in told if one.get("labels")}

    @contextmanager
    def claimed(self, cell: Cell) -> Iterator[None]:
        """Keep other processes from measuring ``cell`` meanwhile; a kill lets go of it.

        Raises:
            Busy: another process measures it now.
        """
        busy = (
            f"{cell.model} / {cell.defense} / {cell.attack}: another process is measuring it in "
            f"{self.folder}. Everything else is done; when that one has ended, the same command "
            "shows all"
        )
        with locked(self.path(cell), busy):
            yield

    def run(self) -> dict[str, Any]:
        """``run.json``, or an empty dictionary before the first call."""
        path = self.folder / "run.json"
        if not path.exists():
            return {}
        try:
            run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            for cell in run["cells"]:
                cell_of(cell)
                labels_of(cell.get("labels") or {})
            if not isinstance(run.get("asked", {}), dict):
                raise TypeError("what was asked is no object")
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{path}: not a run of this melmoat ({error})") from error
        return run

    def keys(self) -> dict[Cell, str]:
        """The cells of every call so far, and what each one's file is called.

        So a run can be read, and gone on with, where the corpus, the weights or the curves that
        some of its cells were measured with are not.
        """
        found: dict[Cell, str] = {}
        cells = self.run().get("cells", [])
        named = self._summarised() if any("key" not in cell for cell in cells) else {}
        for told in cells:
            cell = cell_of(told)
            if key := told.get("key") or named.get(cell):
                found[cell] = key  # without one it is of an earlier version, and was not measured
        return found

    def _summarised(self) -> dict[Cell, str]:
        """The same of ``summary.json``, which is all that runs of earlier versions have."""
        path = self.folder / "summary.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
            return {cell_of(one): one["key"] for one in known}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path}: not a summary of this melmoat ({error})") from error

    def path(self, cell: Cell) -> Path:
        """Where the rows of ``cell`` lie."""
        return self._rows(cell.key)

    def _rows(self, key: str) -> Path:
        return self.folder / "cells" / f"{key}.jsonl"

    def rows(self, cell: Cell) -> list[Row]:
        """Finished rows of ``cell``; a torn last line, left by a kill, is dropped.

        A row that is there twice counts once, the later one: earlier versions could write one
        twice.
        """
        return self.rows_of(cell.key)

    def each(self, cell: Cell) -> Iterator[Row]:
        """Its lines, one at a time: memory does not grow with their number."""
        return self._each(cell.key)

    @staticmethod
    def _lines(path: Path, *fields: str) -> Iterator[dict[str, Any]]:
        """Objects with at least these fields, a line each."""
        if not path.exists():
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    value = json.loads(line)
                except ValueError as error:
                    value, why = None, str(error)
                else:
                    why = "something else than a row"
                if not isinstance(value, dict) or any(value.get(name) is None for name in fields):
                    raise StoreError(
                        f"{path}: line {number} is damaged ({why}). Delete that line; the same "
                        "command measures it again"
                    )
                if too_new(value):
                    raise StoreError(
                        f"{path}: line {number} is of schema {value['schema']}, which a later "
                        "melmoat wrote; upgrade: pip install -U melmoat"
                    )
                yield value

    def speech(self, cells: Mapping[Cell, str]) -> dict[tuple[str, str], str]:
        """What rows were measured on: digests by corpus and utterance. Rows of earlier versions
        have none.

        Args:
            cells: cells with their keys.
        """
        found: dict[tuple[str, str], str] = {}
        for cell, key in cells.items():
            with suppress(StoreError):  # of damaged rows their cell tells
                for row in self._each(key):
                    if "speech" in row:
                        found[cell.data, row["id"]] = row["speech"]
        return found

    def append(self, cell: Cell, rows: Iterable[Row]) -> None:
        """Add finished rows and see them to the disk, in one write."""
        self.append_of(cell.key, rows)

    def append_of(self, key: str, rows: Iterable[Row]) -> None:
        """The same to the cell with this key, wherever its parts are now."""
        self._add(self._rows(key), rows)

    def fail(self, cell: Cell, utterance: str, error: str) -> None:
        """Note that ``utterance`` has no row, and why."""
        self.fail_of(cell.key, {utterance: error})

    def fail_of(self, key: str, errors: Mapping[str, str]) -> None:
        """The same of several utterances of the cell with this key, wherever its parts are now."""
        if errors:
            lines = [{"id": name, "error": error} for name, error in errors.items()]
            self._add(self._failures(key), lines)

    def failures(self, cell: Cell) -> dict[str, str]:
        """The last error of each utterance that still has no row, by id."""
        return self.failures_of(cell.key)

    def failures_of(self, key: str) -> dict[str, str]:
        """The same of the cell with this key, wherever its parts are now."""
        lines = self._lines(self._failures(key), "id", "error")
        found = {line["id"]: line["error"] for line in lines}
        if found:
            for row in self._each(key):
                found.pop(row["id"], None)
        return found

    def _failures(self, key: str) -> Path:
        return self.folder / "failures" / f"{key}.jsonl"

    def _add(self, path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as file:
                self._drop_torn(file.fileno())
                file.write(text)
                file.flush()
                os.fsync(file.fileno())

    @staticmethod
    def _drop_torn(descriptor: int) -> None:
        """Cut what a killed writer left after the last line end."""
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, min(size, 1 << 20), max(0, size - (1 << 20)))
        if tail and not tail.endswith(b"\n"):
            os.ftruncate(descriptor, size - (len(tail) - tail.rfind(b"\n") - 1))

    def cells(self) -> list[Cell]:
        """The cells of every call so far."""
        return list(self.keys())

    def rows_of(self, key: str) -> list[Row]:
        """The same of the cell with this key, wherever its parts are now."""
        return list({row["id"]: row for row in self._each(key)}.values())

    def _each(self, key: str) -> Iterator[Row]:
        lines = self._lines(self._rows(key), *NEEDED)
        return cast(Iterator[Row], lines)

    def summarise(self) -> list[dict[str, Any]]:
        """Compute ``summary.json`` from the rows of every cell."""
        with locked(self.folder / ".lock"):  # who reads later has the later rows
            labels = self.labels()
            summary = [
                summary_of(cell, self.rows_of(key), key)
                | ({"labels": labels[cell]} if cell in labels else {})
                for cell, key in self.keys().items()
            ]
            write_json(self.folder / "summary.json", summary)
        return summary


def cell_of(told: Mapping[str, Any]) -> Cell:
    """A cell as a file tells of it, :func:`_told` backwards."""
    cell = Cell(**{name: told[name] for name in Cell.__annotations__})
    specs = cell.model, cell.defense, cell.attack, cell.data
    if not all(isinstance(spec, str) for spec in specs):
        raise TypeError("a cell without a model, a defense, an attack or a corpus")
    if not one_line(*specs):
        raise TypeError(f"line breaks or control characters in a cell: {specs}")
    if type(cell.seed) is not int:
        raise TypeError("a cell without a seed")
    today: dict[str, Any] = {name: of.undated(told[name]) for name, of in NAMED.items()}
    return replace(cell, **today)


def _told(cell: Cell) -> dict[str, Any]:
    """A cell as a file keeps it: its parts as they will be understood later."""
    return asdict(cell) | {name: of.dated(getattr(cell, name)) for name, of in NAMED.items()}

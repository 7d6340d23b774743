"""A run's folder: rows written as they are finished, a summary computed from them alone.

::

    run.json             what was asked, with versions, machine and code revision, call by call
    cells/<key>.jsonl    one row an utterance, with the revision that measured it
    failures/<key>.jsonl one line a failed try: id and error; the next call tries again
    summary.json         one object a cell
    audio/<key>/         <id>.clean.flac, <id>.adversarial.flac, <id>.defended.flac, when asked for
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melmoat.bench.cell import NAMED, Cell
from melmoat.bench.judge import Row
from melmoat.bench.provenance import machine, revision, versions
from melmoat.data import same_speech
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import unit_of
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.scripts import letters

_BREAKS = ("Cc", "Zl", "Zp")  # of lines, and other characters that steer a terminal
NEEDED = ("id", "counts")  # what every row has
# What a summary averages over the rows that have it.
FIGURES = ("reached", "snr_db", "audible", "first", "queries", "seconds")


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
    partial = path.with_suffix(f"{path.suffix}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)


@contextmanager
def _locked(path: Path, busy: str = "") -> Iterator[None]:
    """Hold ``path``, made if need be, against every other process that asks.

    Where one holds it already, wait, or raise :class:`Busy` with the message ``busy``.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            raise Busy(busy) from error
        yield


class Store:
    """The folder of one run. Processes may share it while they measure different cells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, cells: Iterable[Cell], asked: Mapping[str, Any]) -> None:
        """Write ``run.json``; cells of earlier calls in this folder stay listed, and what was asked
        of them, with which code and where, under ``earlier``."""
        if self.folder.exists() and not self.folder.is_dir():
            raise StoreError(f"{self.folder} is a file; give the run a folder")
        try:
            asking = {_cell(_told(cell)): cell.key for cell in cells}
        except TypeError as error:
            raise StoreError(f"a run cannot keep {error}") from error
        limits = dict.fromkeys(asking, asked.get("limit"))
        now = {
            "asked": dict(asked),
            "versions": versions(),
            "machine": machine(str(asked.get("device", CPU))),
            "revision": revision(),
        }
        with _locked(self.folder / ".lock"):
            keys = self._apart(self.keys() | asking, asking)
            limits = self.limits() | limits
            known = [
                {**_told(cell), "key": key, "limit": limits.get(cell)} for cell, key in keys.items()
            ]
            run = self.run()
            earlier = run.pop("earlier", [])
            if last := {name: run[name] for name in now if name in run}:
                earlier.append(last)
            earlier = [call for i, call in enumerate(earlier) if call not in [now, *earlier[:i]]]
            write_json(self.folder / "run.json", {"cells": known, **now, "earlier": earlier})

    @staticmethod
    def _apart(keys: Mapping[Cell, str], asking: Mapping[Cell, str]) -> dict[Cell, str]:
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
            _cell(told): told["limit"]
            for told in self.run().get("cells", [])
            if type(told.get("limit")) is int
        }

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
        with _locked(self.path(cell), busy):
            yield

    def run(self) -> dict[str, Any]:
        """``run.json``, or an empty dictionary before the first call."""
        path = self.folder / "run.json"
        if not path.exists():
            return {}
        try:
            run: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            for cell in run["cells"]:
                _cell(cell)
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
            cell = _cell(told)
            if key := told.get("key") or named.get(cell):
                found[cell] = key  # without one it is of an earlier version, and was not measured
        return found

    def _summarised(self) -> dict[Cell, str]:
        """The same of ``summary.json``, which is all that runs of earlier versions have."""
        path = self.folder / "summary.json"
        try:
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
            return {_cell(one): one["key"] for one in known}
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise StoreError(f"{path}: not a summary of this melmoat ({error})") from error

    def path(self, cell: Cell) -> Path:
        """Where the rows of ``cell`` lie."""
        return self.folder / "cells" / f"{cell.key}.jsonl"

    def rows(self, cell: Cell) -> list[Row]:
        """Finished rows of ``cell``; a torn last line, left by a kill, is dropped."""
        return list(self.each(cell))

    def each(self, cell: Cell) -> Iterator[Row]:
        """The same, one at a time: memory does not grow with their number."""
        return self._each(cell.key)

    @staticmethod
    def _lines(path: Path, *fields: str) -> Iterator[Row]:
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
                yield value

    def append(self, cell: Cell, rows: Iterable[Row]) -> None:
        """Add finished rows and see them to the disk, in one write."""
        self._add(self.path(cell), rows)

    def fail(self, cell: Cell, utterance: str, error: str) -> None:
        """Note that ``utterance`` has no row, and why."""
        self._add(self._failures(cell.key), [{"id": utterance, "error": error}])

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

    def _add(self, path: Path, rows: Iterable[Row]) -> None:
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
        """Finished rows of the cell with this key, wherever its parts are now."""
        return list(self._each(key))

    def _each(self, key: str) -> Iterator[Row]:
        return self._lines(self.folder / "cells" / f"{key}.jsonl", *NEEDED)

    def summarise(self) -> list[dict[str, Any]]:
        """Compute ``summary.json`` from the rows of every cell."""
        with _locked(self.folder / ".lock"):  # who reads later has the later rows
            summary = [summary_of(cell, self._each(key), key) for cell, key in self.keys().items()]
            write_json(self.folder / "summary.json", summary)
        return summary


def _cell(told: Mapping[str, Any]) -> Cell:
    """A cell as a file tells of it, :func:`_told` backwards."""
    cell = Cell(**{name: told[name] for name in Cell.__annotations__})
    specs = cell.model, cell.defense, cell.attack, cell.data
    if not all(isinstance(spec, str) for spec in specs):
        raise TypeError("a cell without a model, a defense, an attack or a corpus")
    if any(unicodedata.category(letter) in _BREAKS for spec in specs for letter in spec):
        raise TypeError(f"line breaks or control characters in a cell: {specs}")
    if type(cell.seed) is not int:
        raise TypeError("a cell without a seed")
    today: dict[str, Any] = {name: of.undated(told[name]) for name, of in NAMED.items()}
    return replace(cell, **today)


def _told(cell: Cell) -> dict[str, Any]:
    """A cell as a file keeps it: its parts as they will be understood later."""
    return asdict(cell) | {name: of.dated(getattr(cell, name)) for name, of in NAMED.items()}


def summary_of(cell: Cell, rows: Iterable[Row], key: str = "") -> dict[str, Any]:
    """Figures of one cell, rates in percent with 95 % bootstrap intervals over utterances.

    Where most of what is said is written without spaces between words, errors are those in
    characters: ``headline`` is then ``cer``, which has an interval, and is that of clean speech and
    that against the target, too.

    ``first``, the steps until an attack first saw its goal reached, is the mean of those that did.
    """
    numbers, unit = _numbers(rows)

    def column(name: str) -> list[float]:
        return [value for value in numbers[name].tolist() if not math.isnan(value)]

    def counts(which: str, unit: str) -> tuple[list[float], list[float]]:
        return column(f"{which} {unit}"), column(f"{which} {unit} of")

    words = counts("adversarial", "words")
    low, high = bootstrap(*words) or (None, None)
    reached = column("reached")

    def mean(name: str) -> float | None:
        values = column(name)
        return math.fsum(values) / len(values) if values else None  # in any order

    audible = mean("audible")
    summary = {
        **asdict(cell),
        "key": key or cell.key,
        "n": len(numbers["seconds"]),
        "wer": rate(*words),
        "wer_low": low,
        "wer_high": high,
        "cer": rate(*counts("adversarial", "chars")),
        "benign_wer": rate(*counts("benign", "words")),
        "target_wer": rate(*counts("target", "words")),
        "success": rate(reached, [1] * len(reached)),
        "snr_db": mean("snr_db"),
        "audible": None if audible is None else 100 * audible,
        "first": mean("first"),
        "queries": mean("queries"),
        "seconds_per_utterance": mean("seconds"),
    }
    if unit == "chars":
        low, high = bootstrap(*counts("adversarial", unit)) or (None, None)
        summary |= {
            "headline": "cer",
            "cer_low": low,
            "cer_high": high,
            "benign_cer": rate(*counts("benign", unit)),
            "target_cer": rate(*counts("target", unit)),
        }
    return summary


def _numbers(rows: Iterable[Row]) -> tuple[dict[str, NDArray[np.float64]], str]:
    """The numbers of all rows by name, NaN for what is missing, and the unit of errors."""
    said = array("q"), array("q")
    found = {name: array("d") for name in FIGURES}
    for which in ("benign", "adversarial", "target"):
        for unit in ("words", "chars"):
            found |= {f"{which} {unit}": array("d"), f"{which} {unit} of": array("d")}
    for row in rows:
        for own, number in zip(said, letters(str(row.get("reference", ""))), strict=True):
            own.append(number)
        for name in FIGURES:
            value = row.get(name)  # rows of an earlier version lack some
            found[name].append(math.nan if value is None else value)
        for which, units in row["counts"].items():
            for unit in ("words", "chars"):
                edits, total = units[unit] if units else (math.nan, math.nan)
                found[f"{which} {unit}"].append(edits)
                found[f"{which} {unit} of"].append(total)
    unit = unit_of(zip(*said, strict=True))
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}, unit

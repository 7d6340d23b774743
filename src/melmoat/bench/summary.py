"""The rates of one cell, computed from its rows only."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from melmoat.bench.cell import Cell
from melmoat.bench.rows import SCHEMA, Summary
from melmoat.metrics.errors import unit_of
from melmoat.metrics.intervals import bootstrap, rate
from melmoat.writing_systems import letters

# Fields that a summary averages over the rows that have them.
FIGURES = ("reached", "snr_db", "audible", "first", "queries", "seconds")


def summary_of(cell: Cell, rows: Iterable[Mapping[str, Any]], key: str = "") -> Summary:
    """Summary of one cell: rates in percent with 95 % bootstrap intervals over utterances.

    If most of the text is written without spaces between words, errors are counted in characters.
    ``headline`` is then ``cer``, which has an interval. The rates of clean speech and against the
    target are then CERs, too.

    ``silence`` is there, and true, where the target has no words: then there is no rate against it.

    ``first``, the steps until an attack first saw its goal reached, is the mean over the attacks
    that did.
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
    summary: Summary = {
        "schema": SCHEMA,
        "model": cell.model,
        "defense": cell.defense,
        "attack": cell.attack,
        "data": cell.data,
        "seed": cell.seed,
        "key": key or cell.key,
        "n": len(numbers["seconds"]),
        "wer": rate(*words),
        "wer_low": low,
        "wer_high": high,
        "cer": rate(*counts("adversarial", "chars")),
        "benign_wer": rate(*counts("benign", "words")),
        "target_wer": rate(*counts("target", "words")),
        "reached": rate(reached, [1] * len(reached)),
        "snr_db": mean("snr_db"),
        "audible": None if audible is None else 100 * audible,
        "first": mean("first"),
        "queries": mean("queries"),
        "seconds_per_utterance": mean("seconds"),
    }
    if unit == "chars":
        low, high = bootstrap(*counts("adversarial", unit)) or (None, None)
        summary["headline"] = "cer"
        summary["cer_low"], summary["cer_high"] = low, high
        summary["benign_cer"] = rate(*counts("benign", unit))
        summary["target_cer"] = rate(*counts("target", unit))
    if summary["target_wer"] is None and counts("target", "words")[0]:
        summary["silence"] = True
    phonemes = column("phonemes"), column("phonemes of")
    if phonemes[0]:
        summary["per"] = rate(*phonemes)
        summary["per_low"], summary["per_high"] = bootstrap(*phonemes) or (None, None)
    return summary


def _numbers(rows: Iterable[Mapping[str, Any]]) -> tuple[dict[str, NDArray[np.float64]], str]:
    """The numbers of all rows by name, NaN for what is missing, and the unit of errors."""
    letter_counts = array("q"), array("q")
    columns = {name: array("d") for name in (*FIGURES, "phonemes", "phonemes of")}
    for which in ("benign", "adversarial", "target"):
        for unit in ("words", "chars"):
            columns |= {f"{which} {unit}": array("d"), f"{which} {unit} of": array("d")}
    for row in rows:
        for column, number in zip(
            letter_counts, letters(str(row.get("reference", ""))), strict=True
        ):
            column.append(number)
        for name in FIGURES:
            value = row.get(name)  # rows of an earlier version lack some
            columns[name].append(math.nan if value is None else value)
        for name, number in zip(
            ("phonemes", "phonemes of"), row.get("phoneme_errors") or (math.nan,) * 2, strict=True
        ):
            columns[name].append(number)
        for which, units in row["counts"].items():
            for unit in ("words", "chars"):
                edits, total = units[unit] if units else (math.nan, math.nan)
                columns[f"{which} {unit}"].append(edits)
                columns[f"{which} {unit} of"].append(total)
    unit = unit_of(zip(*letter_counts, strict=True))
    return {name: np.array(values, dtype=np.float64) for name, values in columns.items()}, unit

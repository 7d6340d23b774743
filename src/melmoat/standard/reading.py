"""Reading ``standard.json`` again, from anybody: what cannot be right is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import numpy as np

from melmoat.errors import MelmoatError
from melmoat.metrics.errors import METRICS
from melmoat.metrics.intervals import rate
from melmoat.standard.figures import CLEAN, HALF, Figures, HalfPoint, half_of
from melmoat.standard.levels import LARGE, Level, in_order
from melmoat.standard.members import FULL, VERSION
from melmoat.standard.result import SCHEMA, Result
from melmoat.standard.text import ANSWERS
from melmoat.standard.verdict import verdict

CHECKS = {*ANSWERS, "live gradient", "declared randomness", "same to attacker and judge"}
CLOSE = 1e-6  # two ways to compute one figure agree to this
LARGEST = 1e300  # a whole number of a file may be larger than any float
_ABSOLUTE = re.compile(r"(^|[=:(,+])(/|~|[A-Za-z]:\\)")  # a path of one machine, in a spec


def read_result(path: Path) -> Result:
    """The result of the full effort in a file.

    Raises:
        MelmoatError: the file is damaged, of another version or of the quick effort, or what it
            says contradicts itself.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except (OSError, ValueError) as error:
        raise MelmoatError(f"{path}: not a readable standard.json ({error})") from error
    if not isinstance(told, dict):
        raise MelmoatError(f"{path}: expected a standard.json of melmoat evaluate")
    told = dict(told)
    again = "run the same command of melmoat evaluate again: it rewrites the file from its rows"
    if (schema := told.pop("schema", None)) != SCHEMA:
        raise MelmoatError(f"{path}: schema {schema!r}, expected {SCHEMA}; {again}")
    if (version := told.get("version")) != VERSION:
        raise MelmoatError(f"{path}: of {version!r}, and only figures of {VERSION} are compared")
    if (effort := told.get("effort")) != FULL.name:
        raise MelmoatError(f"{path}: effort {effort!r} is not for publication; leave --effort out")
    publishable = told.pop("publishable", None)
    result: Result = typed(Result, told, str(path))
    faults = list(contradictions(result))
    if publishable is not result.publishable:
        faults.append(f"publishable: {publishable!r}")
    if faults:
        raise MelmoatError(f"{path} contradicts itself: {'; '.join(faults)}")
    return result


def contradictions(r: Result) -> Iterator[str]:
    """What a result says that cannot be."""
    u, levels = r.utterances, [found.level for found in r.levels]
    if not levels_of(r):
        wanted = ", ".join(level.name for level in FULL.levels)
        yield f"levels {', '.join(levels)}, expected {wanted}"
        return
    if len(set(u.ids)) != len(u.ids) or not len(u.ids) == len(u.lengths) == r.n:
        yield f"{r.n} utterances, but {len(set(u.ids))} names and {len(u.lengths)} lengths"
        return
    if set(u.capped) != {CLEAN, *levels}:
        yield f"errors of {', '.join(u.capped)}"
        return
    if r.clean.level != CLEAN:
        yield f"the figures of clean speech are those of {r.clean.level}"
        return
    if lost := r.failures.get(CLEAN):
        yield f"{len(lost)} utterance(s) failed without an attack, so they are in no figure"
    if r.metric not in METRICS.values():
        yield f"metric {r.metric}"
    if set(r.cost) != set(u.ids):
        yield "the cost is that of other utterances"
    if {finding.check for finding in r.findings} != CHECKS or len(r.findings) != len(CHECKS):
        yield f"expected these checks once: {', '.join(sorted(CHECKS))}"
    if (said := verdict(r.findings)) != r.verdict:
        yield f"verdict {r.verdict}, but its checks say {said}"
    if paths := [s for s in (r.model, r.defense, r.data) if _ABSOLUTE.search(s)]:
        yield f"{paths[0]} has a path of one machine; run it from a folder above"
    for figures in (r.clean, *r.levels):
        yield from _of_level(r, figures)
    yield from _quiet(r)
    if all(len(errors) == r.n for errors in u.capped.values()):
        yield from _grows(r)
        yield from _half(r)


def levels_of(r: Result) -> list[Level]:
    """The levels of a full run, the least budget first: those of every run, and quieter and louder
    ones where they were needed. Empty if the result has others."""
    names = [found.level for found in r.levels]
    for quieter in range(len(FULL.quiet) + 1):
        for louder in ([], [LARGE]):
            levels = in_order((*FULL.quiet[:quieter], *FULL.levels, *louder))
            if names == [level.name for level in levels]:
                return list(levels)
    return []


def _of_level(r: Result, f: Figures) -> Iterator[str]:
    u = r.utterances
    errors = u.capped[f.level]
    if len(errors) != r.n or f.n != r.n:
        yield f"{f.level}: {f.n} utterances and {len(errors)} errors, expected {r.n}"
        return
    if not all(0 <= e <= length for e, length in zip(errors, u.lengths, strict=True)):
        yield f"{f.level}: an utterance has fewer errors than none, or more than words"
    found = rate(errors, u.lengths)
    if found is None or f.capped is None or abs(found - f.capped) > CLOSE:
        yield f"{f.level}: capped {f.capped}, but the utterances give {found}"
    if f.capped is not None and not (f.worst_draw or 0) + CLOSE >= f.capped:
        yield f"{f.level}: the worst draw is better than the mean"


def _grows(r: Result) -> Iterator[str]:
    """Without randomness the worst case can only grow with the budget."""
    if r.draws > 1:
        return
    levels = levels_of(r)
    pairs = [(CLEAN, level.name) for level in levels]
    pairs += [(b.name, a.name) for a in levels for b in levels if a != b and a.contains(b)]
    for less, more in pairs:
        few, many = r.utterances.capped[less], r.utterances.capped[more]
        if any(a > b for a, b in zip(few, many, strict=False)):
            yield f"an utterance has fewer errors at {more} than at {less}"


def _half(r: Result) -> Iterator[str]:
    found = half_of_result(r)
    same = r.half is not None and (
        r.half.db == found.db
        or (r.half.db and found.db and math.isclose(r.half.db, found.db, abs_tol=CLOSE))
    )
    if not same:
        yield f"half of the words: {r.half}, but the utterances give {found.text}"


def _quiet(r: Result) -> Iterator[str]:
    """Where half of the words fall at the quietest level, a quieter one is asked for. (With
    randomness it is the choosing draws that say so.)"""
    least = levels_of(r)[0]
    rates = {found.level: found.capped or 0.0 for found in r.levels}
    further = [level for level in FULL.quiet if level.db > least.db]
    if r.draws == 1 and further and rates[least.name] >= HALF:
        yield (
            f"{least.name} has {rates[least.name]:.1f} %, so {further[0].name} is missing; run the "
            "same command of melmoat evaluate again"
        )


def half_of_result(r: Result) -> HalfPoint:
    """The SNR at which half of the words are wrong, from the errors of the utterances."""
    asked = [level for level in levels_of(r) if level.norm == "l2" and level != LARGE]
    dbs = [level.db for level in asked]
    harm = np.array([r.utterances.capped[level.name] for level in asked], dtype=float)
    return half_of(np.array(dbs), harm, np.array(r.utterances.lengths, dtype=float))


def typed(kind: Any, value: Any, where: str) -> Any:
    """``value`` of a JSON file as ``kind``: a dataclass, or what fields of dataclasses have here.

    Raises:
        MelmoatError: something is missing, unknown or of another type; says where.

    >>> typed(tuple[float, ...], [1, 2.5], "x")
    (1.0, 2.5)
    """
    origin, args = get_origin(kind), get_args(kind)
    if kind is Any or (origin is Literal and value in args):
        return value
    if origin in (Union, UnionType):
        some = [one for one in args if one is not type(None)]
        return None if value is None and len(some) < len(args) else typed(some[0], value, where)
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else args
        if len(kinds) == len(value):
            pairs = enumerate(zip(kinds, value, strict=True))
            return tuple(typed(one, v, f"{where}[{i}]") for i, (one, v) in pairs)
    if origin is Mapping and isinstance(value, dict):
        return {key: typed(args[1], v, f"{where}.{key}") for key, v in value.items()}
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        names = {field.name for field in fields(kind)}
        if names != set(value):
            missing, unknown = sorted(names - set(value)), sorted(set(value) - names)
            raise MelmoatError(f"{where}: missing {missing}, unknown {unknown}")
        hints = get_type_hints(kind)
        return kind(**{n: typed(hints[n], value[n], f"{where}.{n}") for n in value})
    if kind is float and type(value) in (int, float) and abs(value) < LARGEST:  # nor NaN
        return float(value)
    if type(value) is kind:
        return value
    raise MelmoatError(f"{where}: expected {kind}, got {str(value)[:60]!r}")


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no figure")

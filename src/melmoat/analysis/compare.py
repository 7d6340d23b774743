"""Differences between rows: of two runs, or of one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from melmoat.analysis.results import (
    SEP,
    Result,
    RowComparison,
    compare,
    read_results,
    same_words,
    speakers_of,
)
from melmoat.attacks import ATTACKS
from melmoat.bench.labels import shown
from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.spec import SpecError


def compare_runs(
    run: Path, other: Path | None = None, rows: Sequence[str] = (), target: bool = False
) -> list[RowComparison]:
    """Compare the same cells of two runs, or the rows of one run with each other.

    Args:
        run: folder of a run. The other WER is subtracted from its WER.
        other: another run. Cells are paired by model, defense and attack, and utterances by id. If
            each run has a cell once, the path of the corpus and the seed may differ.
        rows: two rows by name: ``MODEL / DEFENSE / ATTACK``, their labels, or a unique part of
            these. With ``other``, the first row is of ``run`` and the second of ``other``. The
            label or name of a system alone means the system under every attack that both have.
            Empty: all pairs with the same attack whose errors are counted in the same words.
        target: compare the WER against the attacker's text, for targeted attacks only.

    Raises:
        MelmoatError: there are no pairs, or a row is unknown or ambiguous.
    """
    return compare_results(
        read_results(run), run, None if other is None else read_results(other), other, rows, target
    )


def compare_results(
    ours: Sequence[Result],
    run: Path,
    theirs: Sequence[Result] | None = None,
    other: Path | None = None,
    rows: Sequence[str] = (),
    target: bool = False,
) -> list[RowComparison]:
    """The same for results in memory; the folders are used for names and messages."""
    ours = _measured(ours, target)
    theirs = ours if theirs is None else _measured(theirs, target)
    if rows:
        if len(rows) != 2:
            raise MelmoatError(f"name two rows to compare, or none; got {len(rows)}")
        pairs = _named_rows(ours, theirs, rows, run, other or run)
    elif other is None:
        pairs = [
            (a, b)
            for a, b in combinations(ours, 2)
            if _place(a) == _place(b) and same_words(a, b, target)
        ]
    else:
        pairs = _crossed(ours, theirs)
    if not pairs:
        known = "\n".join(f"  {_name(r, True)}" for r in [*ours, *(theirs if other else [])])
        what = "targeted attacks" if target else "rows"
        raise MelmoatError(f"no two {what} here can be compared; the rows are\n{known or '  none'}")
    if not any(a.rows.keys() & b.rows.keys() for a, b in pairs):
        raise MelmoatError(f"{run}: the two rows have no utterance in common")
    prefixes = ("", "") if other is None else (f"{run}: ", f"{other}: ")
    several = len({where for pair in pairs for where in map(_where, pair)}) > 1
    return [
        compare(
            a,
            b,
            speakers_of(a.cell.data, a.rows),
            (f"{prefixes[0]}{_name(a, several)}", f"{prefixes[1]}{_name(b, several)}"),
            among=len(pairs),
            target=target,
        )
        for a, b in pairs
    ]


def _crossed(ours: Sequence[Result], theirs: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Pairs of the same cell in both runs: with the same corpus and seed, or if each run has it
    once."""
    pairs = []
    for a in ours:
        same = [b for b in theirs if _cell(a) == _cell(b)]
        exact = [b for b in same if _where(a) == _where(b)]
        once = len(same) == 1 and sum(_cell(a) == _cell(c) for c in ours) == 1
        pairs += [(a, b) for b in (exact or (same if once else []))]
    return pairs


def _named_rows(
    ours: Sequence[Result], theirs: Sequence[Result], rows: Sequence[str], run: Path, other: Path
) -> list[tuple[Result, Result]]:
    """Two systems under each attack that both have, or two rows."""
    systems = [
        [r for r in results if name in _systems(r)]
        for results, name in zip((ours, theirs), rows, strict=True)
    ]
    if all(systems):
        met = [(a, b) for a in systems[0] for b in systems[1] if _place(a) == _place(b)]
        if met:
            return met
    return [(find_row(ours, rows[0], run), find_row(theirs, rows[1], other))]


def _systems(result: Result) -> set[str]:
    """The names that the system of a result may have. The spec of its model or defense alone is
    none of them: it may name a part of a row."""
    specs = {result.cell.model, result.cell.defense}
    parts = [shown(p, getattr(result.cell, p), result.labels) for p in ("model", "defense")]
    return {result.system_name, SEP.join(_cell(result)[:2]), *parts} - specs


def _measured(results: Sequence[Result], target: bool) -> list[Result]:
    measured = [result for result in results if result.rows]
    return [result for result in measured if result.targeted] if target else measured


def _where(result: Result) -> tuple[str, int]:
    return result.cell.data, result.cell.seed


def _place(result: Result) -> tuple[str, tuple[str, int]]:
    return result.cell.attack, _where(result)


def _cell(result: Result) -> tuple[str, str, str]:
    return result.cell.model, result.cell.defense, result.cell.attack


def _name(result: Result, whole: bool = False) -> str:
    """Model, defense and attack, or their labels; ``whole`` adds the corpus, and the seed if it is
    not 0."""
    return result.name + (_on(result) if whole else "")


def _on(result: Result) -> str:
    seed = f", seed {result.cell.seed}" if result.cell.seed else ""
    return f" on {result.data_name}{seed}"


def _names(result: Result, whole: bool) -> tuple[str, str]:
    """The full names of a row: by its labels and by its specs."""
    specs = SEP.join(_cell(result))
    return _name(result, whole), specs + (_on(result) if whole else "")


def _without_defaults(part: str) -> str:
    """A part of a row's name in the spelling of results: without defaults."""
    for family in (DEFENSES, ATTACKS, MODELS):
        try:
            return str(family.parse(part))
        except SpecError:
            continue
    return part


def find_row(results: Sequence[Result], text: str, run: Path) -> Result:
    """The result that ``text`` names, by its full name or by a unique part of it.

    Raises:
        MelmoatError: no row, or several rows; the message lists them.
    """
    whole = len({_where(r) for r in results}) > 1
    for wanted in (text, SEP.join(map(_without_defaults, text.split(SEP)))):
        matches = [r for r in results if wanted in (*_names(r, whole), r.label, r.key)]
        matches = matches or [r for r in results if any(wanted in n for n in _names(r, whole))]
        if matches:
            break
    if len(matches) != 1:
        what = "no row" if not matches else f"{len(matches)} rows"
        known = "\n".join(f"  {_name(r, whole)}" for r in matches or results)
        do = "name one of these" if matches else "the rows are"
        raise MelmoatError(f"{run}: {what} called {text!r}; {do}\n{known}")
    return matches[0]

"""The entries of the leaderboard: a folder with a result and a statement of each system.

``NAME.json`` is the ``standard.json`` of a run as it was written. ``NAME.yaml`` is what its
submitter says. ``corpora.yaml`` names the corpora that are compared.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from melmoat.analysis.evidence import ENOUGH
from melmoat.bench.labels import one_line
from melmoat.errors import MelmoatError, alike
from melmoat.standard.reading import read_result, typed
from melmoat.standard.result import Result

CORPORA, TEMPLATE = "corpora.yaml", "template.yaml"
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
LONGEST = {"label": 60, "sentence": 240, "link": 300, "machine": 120}


@dataclass(frozen=True)
class Statement:
    """What a submitter says of a system, and no run can know.

    Attributes:
        label: its name in the table.
        sentence: what it does.
        link: where its code or paper is.
        training: whether something of it has to be trained: the recognizer, a vocoder, a curve.
        real_time_factor: seconds that a second of clean speech takes, one recording at a time, on
            ``machine``; both or neither.
    """

    label: str
    sentence: str
    link: str
    training: bool
    real_time_factor: float | None = None
    machine: str | None = None


@dataclass(frozen=True)
class Entry:
    """One system on one corpus. ``name`` is that of its files; ``corpus`` the corpus's title."""

    name: str
    statement: Statement
    result: Result
    corpus: str


def read_entries(folder: Path) -> list[Entry]:
    """Every entry of a folder, by name.

    Raises:
        MelmoatError: a file is damaged, lacks its other half, or contradicts itself or another.
    """
    corpora = read_corpora(folder / CORPORA)
    names = {path.stem for path in folder.glob("*.json")}
    statements = {p.stem for p in folder.glob("*.yaml")} - {Path(CORPORA).stem, Path(TEMPLATE).stem}
    for name in sorted(names ^ statements):
        lacking = "yaml" if name in names else "json"
        raise MelmoatError(f"{folder / name}.{lacking} is missing; an entry has both files")
    entries = [read_entry(folder, name, corpora) for name in sorted(names)]
    check_together(entries)
    return entries


def read_entry(folder: Path, name: str, corpora: Mapping[str, str]) -> Entry:
    """One entry.

    Raises:
        MelmoatError: see :func:`read_entries`; also if it is on another corpus, or on too few
            utterances.
    """
    path = folder / f"{name}.json"
    if not _NAME.fullmatch(name):
        raise MelmoatError(f"{path}: expected a name of small letters, digits and hyphens")
    statement, result = read_statement(folder / f"{name}.yaml"), read_result(path)
    if result.data not in corpora:
        raise MelmoatError(
            f"{path}: measured on {result.data}; {CORPORA} has {', '.join(corpora)}"
            f"{alike(result.data, corpora)}. Add the corpus there, or measure on one of these"
        )
    if result.n < ENOUGH:
        raise MelmoatError(f"{path}: {result.n} utterances; an entry has at least {ENOUGH}")
    return Entry(name, statement, result, corpora[result.data])


def read_statement(path: Path) -> Statement:
    """What a submitter says.

    Raises:
        MelmoatError: a field is missing, unknown, of another type or too long.
    """
    told = {"real_time_factor": None, "machine": None, **_yaml(path)}
    said: Statement = typed(Statement, told, str(path))
    for field, longest in LONGEST.items():
        value = getattr(said, field)
        if value is not None and not (0 < len(value.strip()) <= longest and one_line(value)):
            raise MelmoatError(f"{path}: {field}: expected one line of 1 to {longest} characters")
    if not re.fullmatch(r"https://[^\s<>\"']+", said.link):
        raise MelmoatError(f"{path}: link: expected an address that begins with https://")
    if (said.real_time_factor is None) != (said.machine is None):
        raise MelmoatError(f"{path}: real_time_factor and machine belong together; give both")
    if said.real_time_factor is not None and said.real_time_factor <= 0:
        raise MelmoatError(f"{path}: real_time_factor: expected a number above 0")
    return said


def read_corpora(path: Path) -> dict[str, str]:
    """The corpora that are compared: titles by spec."""
    told = _yaml(path)
    if not all(isinstance(title, str) and title for title in told.values()):
        raise MelmoatError(f"{path}: expected lines SPEC: TITLE")
    return told


def check_together(entries: Sequence[Entry]) -> None:
    """Raise MelmoatError where entries contradict each other.

    On one corpus everybody has the first utterances of one shuffle. So those of a smaller entry
    are among those of a larger one, and where texts are compared alike, they are as long.
    """
    first: dict[tuple[str, str, str], Entry] = {}
    largest: dict[str, Entry] = {}
    for entry in sorted(entries, key=lambda e: (-e.result.n, e.name)):
        r = entry.result
        same = first.setdefault((r.model, r.defense, r.data), entry)
        if same is not entry:
            raise MelmoatError(f"{same.name} and {entry.name} are the same system; keep one")
        most = largest.setdefault(r.data, entry)
        if other := set(r.utterances.ids) - set(most.result.utterances.ids):
            raise MelmoatError(
                f"{entry.name} has {len(other)} utterances that {most.name} has not, such as "
                f"{min(other)}: not the same utterances of {r.data}"
            )
    by_way: dict[tuple[str, str, str | None], dict[str, tuple[int, Entry]]] = {}
    for entry in entries:
        known = by_way.setdefault(way_of(entry.result), {})
        u = entry.result.utterances
        for name, length in zip(u.ids, u.lengths, strict=True):
            other_length, other_entry = known.setdefault(name, (length, entry))
            if other_length != length:
                raise MelmoatError(
                    f"{name} has {length} words in {entry.name}, and {other_length} in "
                    f"{other_entry.name}: not the same texts"
                )


def way_of(result: Result) -> tuple[str, str, str | None]:
    """Corpus, metric and normaliser: only figures that have them in common are compared."""
    return result.data, result.metric, result.utterances.normaliser


def _yaml(path: Path) -> dict[str, Any]:
    try:
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MelmoatError(f"{path}: not readable ({error})") from error
    if not isinstance(told, dict) or not all(isinstance(key, str) for key in told):
        raise MelmoatError(f"{path}: expected lines NAME: VALUE; see {TEMPLATE}")
    return told

"""What is measured: one model, defense, attack and corpus, and the name of that."""

from __future__ import annotations

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from melmoat import files
from melmoat.attacks import ATTACKS
from melmoat.data import CORPORA, listings
from melmoat.defenses import DEFENSES
from melmoat.detectors import DETECTORS
from melmoat.draws import derive
from melmoat.errors import MelmoatError
from melmoat.facts import Mark, NamesFile, Origin, Part, origin_of
from melmoat.models import MODELS
from melmoat.spec import Registry, Spec, marks, show, spelling, typed
from melmoat.vocoders import VOCODERS

NAMED: dict[str, Registry[Any]] = {"model": MODELS, "defense": DEFENSES, "attack": ATTACKS}
FAMILIES: dict[str, Registry[Any]] = {
    **NAMED,
    "vocoder": VOCODERS,
    "corpus": CORPORA,
    "detector": DETECTORS,
}

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Cell:
    """One cell of a table. Fields are canonical specs, so equal cells have equal keys."""

    model: str
    defense: str
    attack: str
    data: str
    seed: int = 0

    @cached_property
    def key(self) -> str:
        """SHA-256 of the cell's canonical JSON, its first 16 hex digits.

        A path counts as what lies there: retrained weights or an edited corpus make another cell,
        and the same ones in another folder or on another machine make the same.
        """
        return self._digest(code=True)

    @cached_property
    def _drawn(self) -> str:
        return self._digest(code=False)

    def _digest(self, code: bool) -> str:
        full = asdict(self) | {
            "model": identity(MODELS.parse(self.model), code),
            "defense": identity(DEFENSES.parse(self.defense), code),
            "attack": identity(ATTACKS.parse(self.attack), code),
            "data": identity(CORPORA.parse(self.data), code),
        }
        text = json.dumps(full, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def seed_of(self, utterance: str) -> int:
        """Where every random number of this cell and utterance derives from.

        That is what the key names, but for the files of somebody's own code: a change in it makes
        another cell, and draws nothing else.
        """
        return derive(self._drawn, utterance)


def identity(spec: Spec, code: bool = True) -> str:
    """``spec`` with every file and part that it rests on as a digest of the contents.

    Options say by their types what they name: a path, another part, a file. What else counts, the
    part's factory says (:func:`melmoat.facts.rests_on`). An option that came late counts unless it
    says what specs meant before (:class:`melmoat.facts.Before`).

    Args:
        code: whether the files of somebody's own code count.
    """
    origin = origin_of(spec.factory, spec.args)
    parts = {key: part for key, part in spec.parts.items() if not origin.replaces(key)}
    found: list[str] = []
    args, marked = _options(spec, origin)
    for key, value in args.items():
        mark = marked.get(key)
        if value is None or origin.replaces(key):
            continue
        if isinstance(value, Path):
            named = f"{key}={fingerprint(value)}"
            if key not in parts:  # a default
                found.append(named)
            else:  # the first option may stand without its key
                parts[key] = fingerprint(value) if parts[key] == show(value) else named
        elif isinstance(mark, Part):
            parts.pop(key, None)
            inner = identity(FAMILIES[mark.kind].parse(value), code)
            found.append(f"{key}=({inner})" if mark.keyed else inner)
        elif isinstance(mark, NamesFile):
            parts.pop(key, None)
            file = mark.find(value)
            found.append(fingerprint(file) if file else value)
    found += [fingerprint(path) for path in origin.files]
    found += [fingerprint_of_code(path) for path in origin.code] if code else []
    found += [origin.also] if origin.also is not None else []
    return "@".join([spelling(spec.name, parts.values()), *found])


def foreign(spec: Spec) -> bool:
    """Whether building ``spec`` imports a module that it, or a part that it names, names."""
    named = [(spec.args.get(key), mark) for key, mark in marks(spec.factory).items()]
    return spec.foreign or any(
        foreign(FAMILIES[mark.kind].parse(value))
        for value, mark in named
        if isinstance(mark, Part) and value is not None
    )


def _options(spec: Spec, origin: Origin) -> tuple[dict[str, Any], dict[str, Mark]]:
    """The options of ``spec`` and their marks, those of somebody's own factory in its types."""
    args, marked = dict(spec.args), marks(spec.factory)
    if origin.factory is None:
        return args, marked
    own = {key: value for key, value in args.items() if key not in spec.others}
    try:
        factory = origin.factory()
        return typed(spec.text, factory, spec.others) | own, marks(factory) | marked
    except MelmoatError:  # loading it says what is wrong
        return args, marked


def fingerprint(path: Path) -> str:
    """16 hex digits of a file; of the list of a corpus's texts; else the path's last name."""
    path = next((texts for texts in listings(path) if texts.is_file()), path)
    if not path.is_file():
        return path.name
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


def fingerprint_of_code(path: Path) -> str:
    """16 hex digits of what a file of Python does: comments, blank lines and docstrings do not
    count. Of any other file as :func:`fingerprint`."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return fingerprint(path)
    try:
        return hashlib.sha256(_bare(source).encode()).hexdigest()[:16]
    except (SyntaxError, ValueError, RecursionError):
        return fingerprint(path)


@lru_cache(maxsize=64)
def _bare(source: str) -> str:
    """Python source as :func:`ast.unparse` writes it, without docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


@lru_cache(maxsize=64)
def _digest(path: Path, modified: int, size: int) -> str:
    return files.digest(path)[:16]


def grid(
    models: Iterable[str],
    defenses: Iterable[str],
    attacks: Iterable[str],
    data: Iterable[str],
    seed: int = 0,
) -> list[Cell]:
    """Every combination, each spec brought to its canonical spelling.

    Raises:
        SpecError: an unknown name or key, or a value that a defense or an attack refuses, before
            any recognizer or audio is loaded.
    """
    parsed_defenses = [str(DEFENSES.parse(d)) for d in defenses]
    for spec in parsed_defenses:
        DEFENSES.build(spec)
    parsed_attacks = [ATTACKS.declared(a) for a in attacks]
    combinations = product(
        [str(MODELS.parse(m)) for m in models],
        parsed_defenses,
        parsed_attacks,
        [str(CORPORA.parse(d)) for d in data],
    )
    return list(dict.fromkeys(Cell(*four, seed=seed) for four in combinations))

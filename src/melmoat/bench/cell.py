"""What is measured: one model, defense, attack and corpus, and the name of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

from melmoat.assets import asset
from melmoat.attacks import ATTACKS
from melmoat.data import CORPORA, listings
from melmoat.data import ORIGINS as CORPUS_ORIGINS
from melmoat.defenses import DEFENSES
from melmoat.defenses.shaping import shaping_file
from melmoat.draws import derive
from melmoat.models import MODELS, ORIGINS
from melmoat.spec import Family, Spec, options, show
from melmoat.vocoders import VOCODERS
from melmoat.vocoders.published import side_files, universal_weights

NAMED: dict[str, Family[Any]] = {"model": MODELS, "defense": DEFENSES, "attack": ATTACKS}


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
        full = asdict(self) | {
            "model": identity(MODELS.parse(self.model)),
            "defense": identity(DEFENSES.parse(self.defense)),
            "attack": identity(ATTACKS.parse(self.attack)),
            "data": identity(CORPORA.parse(self.data)),
        }
        text = json.dumps(full, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def seed_of(self, utterance: str) -> int:
        """Where every random number of this cell and utterance derives from."""
        return derive(self.key, utterance)


def identity(spec: Spec) -> str:
    """``spec`` with every path, and whatever its name stands for, as a digest of the contents.

    An option that came late counts unless it says what specs meant before
    (:class:`melmoat.spec.Before`).

    The vocoder, with the settings that lie beside it, and the shaping curve that a defense's spec
    names count in the same way, and so does the system that a transfer is crafted on.
    """
    name, _, rest = spec.lasting.partition(":")
    parts = options(rest)
    found: list[str] = []
    for key, value in spec.args.items():
        named = f"{key}={show(value)}"
        if isinstance(value, Path):
            digest = {show(value): fingerprint(value), named: f"{key}={fingerprint(value)}"}
            parts = [digest.get(part, part) for part in parts]
        elif key == "vocoder":
            parts = [part for part in parts if part != named]
            found.append(_vocoder(VOCODERS.parse(value)))
        elif spec.name == "transfer" and key in NAMED:  # any system, with its own weights
            parts = [part for part in parts if part not in (named, show(value))]
            found.append(f"{key}=({identity(NAMED[key].parse(value))})")
        elif key == "shaping":
            parts = [part for part in parts if part != named]
            curve = shaping_file(value)
            found.append(fingerprint(curve) if curve else "flat")
    if origin := (ORIGINS | CORPUS_ORIGINS).get(spec.name):
        files, compared = origin(spec.args)
        parts = parts[1:]  # the name of what is digested
        found += [*(fingerprint(path) for path in files), compared]
    shipped = [asset(spec.name), asset(f"{spec.name}.safetensors")]
    found += [fingerprint(path) for path in shipped if path.exists()]
    return "@".join([":".join([name, ",".join(parts)]) if parts else name, *found])


def _vocoder(spec: Spec) -> str:
    beside = [
        fingerprint(path)
        for value in spec.args.values()
        if isinstance(value, Path)
        for path in side_files(value)
    ]
    if spec.name == "hifigan-universal":
        beside.append(fingerprint(universal_weights()))
    return "@".join([identity(spec), *beside])


def fingerprint(path: Path) -> str:
    """16 hex digits of a file; of the list of a corpus's texts; else the path's last name."""
    path = next((texts for texts in listings(path) if texts.is_file()), path)
    if not path.is_file():
        return path.name
    stat = path.stat()
    return _digest(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _digest(path: Path, modified: int, size: int) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()[:16]


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
    parsed_attacks = [str(ATTACKS.parse(a)) for a in attacks]
    for spec in parsed_defenses:
        DEFENSES.build(spec)
    for spec in parsed_attacks:
        ATTACKS.build(spec)
    combinations = product(
        [str(MODELS.parse(m)) for m in models],
        parsed_defenses,
        parsed_attacks,
        [str(CORPORA.parse(d)) for d in data],
    )
    return list(dict.fromkeys(Cell(*four, seed=seed) for four in combinations))

"""What is measured: one model, defense, attack and corpus, and the name of that."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product

from melmoat.attacks import ATTACKS
from melmoat.data import CORPORA
from melmoat.defenses import DEFENSES
from melmoat.draws import derive
from melmoat.models import MODELS


@dataclass(frozen=True)
class Cell:
    """One cell of a table. Fields are canonical specs, so equal cells have equal keys.

    Args:
        limit: utterances used, spread evenly over the corpus; 0 is all of them.
    """

    model: str
    defense: str
    attack: str
    data: str
    seed: int = 0
    limit: int = 0

    @property
    def key(self) -> str:
        """SHA-256 of the cell as canonical JSON with every default spelled out; 16 hex digits."""
        full = asdict(self) | {
            "model": MODELS.parse(self.model).canonical,
            "defense": DEFENSES.parse(self.defense).canonical,
            "attack": ATTACKS.parse(self.attack).canonical,
            "data": CORPORA.parse(self.data).canonical,
        }
        text = json.dumps(full, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def seed_of(self, utterance: str) -> int:
        """Where every random number of this cell and utterance derives from."""
        return derive(self.key, self.seed, utterance)


def grid(
    models: Iterable[str],
    defenses: Iterable[str],
    attacks: Iterable[str],
    data: Iterable[str],
    seed: int = 0,
    limit: int = 0,
) -> list[Cell]:
    """Every combination, each spec checked and brought to its short canonical spelling.

    Raises:
        SpecError: an unknown name, key or value, before anything is loaded.
    """
    specs = product(
        [str(MODELS.parse(m)) for m in models],
        [str(DEFENSES.parse(d)) for d in defenses],
        [str(ATTACKS.parse(a)) for a in attacks],
        [str(CORPORA.parse(d)) for d in data],
    )
    return list(dict.fromkeys(Cell(*four, seed=seed, limit=limit) for four in specs))

"""A table to be measured: systems down, attacks across.

A suite is a Python file that sets ``SUITE``. ``melmoat bench --suite FILE`` measures it, and goes
on where it was stopped; suites that share a folder share the cells that stand in both.
"""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from melmoat.bench.cell import Cell, grid
from melmoat.bench.worker import Choose
from melmoat.errors import MelmoatError

SHIPPED = Path(__file__).parents[1] / "suites"  # of an installed melmoat
CHECKOUT = Path(__file__).parents[3] / "suites"


@dataclass(frozen=True)
class Row:
    """One line of a table: a recognizer behind a defense.

    Args:
        stochastic: whether an attack that averages its loss over draws (EOT) applies.
        paper: the paper's WER by column, where it gives one.
        target: the paper's target WER by column.
    """

    label: str
    model: str
    defense: str
    stochastic: bool = False
    paper: Mapping[str, float] = field(default_factory=dict)
    target: Mapping[str, float] = field(default_factory=dict)

    def cell(self, attack: str, data: str, seed: int = 0) -> Cell:
        """This row under ``attack``."""
        return grid([self.model], [self.defense], [attack], [data], seed)[0]


@dataclass(frozen=True)
class Suite:
    """A grid of rows and columns.

    Args:
        columns: attack specs by label.
        averaging: labels of the columns that only apply to stochastic rows.
        limit: utterances; 0 for all.
        data: corpus spec, where none is given.
        choose: which utterances ``limit`` takes (:func:`melmoat.bench.worker.choose`).
    """

    name: str
    rows: Sequence[Row]
    columns: Mapping[str, str]
    averaging: frozenset[str] = frozenset()
    limit: int = 0
    data: str = "demo"
    choose: Choose = "shuffled"

    def faces(self, row: Row, column: str) -> bool:
        """Whether this column's attack makes sense against this row."""
        return row.stochastic or column not in self.averaging

    def file(self, data: str, seed: int = 0) -> str:
        """What the table of a corpus is called: that of the suite's own has the suite's name."""
        parts = [self.name]
        if data != self.data:
            parts.append(re.sub(r"[^\w.]+", "-", data).strip("-"))
        return "-".join(parts + ([f"seed-{seed}"] if seed else [])) + ".md"

    def cells(self, data: str = "", seed: int = 0) -> dict[tuple[str, str], Cell]:
        """Every cell by its row's and column's labels, column by column."""
        return {
            (row.label, column): row.cell(attack, data or self.data, seed)
            for column, attack in self.columns.items()
            for row in self.rows
            if self.faces(row, column)
        }

    def chosen(
        self, rows: Sequence[str], columns: Sequence[str], data: str = "", seed: int = 0
    ) -> dict[tuple[str, str], Cell]:
        """The cells of these rows and columns; an empty list means all of them.

        Raises:
            MelmoatError: an unknown label; says which there are.
        """
        for kind, given, known in (
            ("row", rows, [row.label for row in self.rows]),
            ("column", columns, list(self.columns)),
        ):
            for label in given:
                if label not in known:
                    raise MelmoatError(
                        f"{self.name} has no {kind} {label!r}; it has {', '.join(map(repr, known))}"
                    )
        return {
            (row, column): cell
            for (row, column), cell in self.cells(data, seed).items()
            if (not rows or row in rows) and (not columns or column in columns)
        }


def find(name: str) -> Suite:
    """The suite of a file, or of ``suites/NAME.py`` here or among those that come with melmoat.

    Raises:
        MelmoatError: no such file, no Python file, or it sets no ``SUITE``.
    """
    folders = [Path("suites"), SHIPPED if SHIPPED.is_dir() else CHECKOUT]
    places = [Path(name), *(folder / f"{name}.py" for folder in folders)]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        known = sorted({p.stem for folder in folders for p in folder.glob("*.py") if _sets(p)})
        raise MelmoatError(f"no suite {name!r}: give a Python file, or one of {', '.join(known)}")
    beside = str(file.parent.resolve())
    sys.path.insert(0, beside)
    try:
        suite = runpy.run_path(str(file), run_name="suite").get("SUITE")
    except (SyntaxError, ValueError) as error:  # a text of another kind, or no text
        raise MelmoatError(f"{file}: not a Python file ({error})") from error
    finally:
        sys.path.remove(beside)
    if not isinstance(suite, Suite):
        raise MelmoatError(f"{file}: sets no SUITE (a melmoat.bench.suite.Suite)")
    return suite


def _sets(file: Path) -> bool:
    return re.search(r"^SUITE\b", file.read_text(encoding="utf-8"), re.MULTILINE) is not None

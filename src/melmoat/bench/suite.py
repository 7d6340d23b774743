"""A suite: a table to measure, with systems down and attacks across.

A suite is a Python file that sets ``SUITE``. ``melmoat bench --suite FILE`` measures it, and
continues it if it was stopped. Suites in the same folder share their common cells.
"""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from melmoat.attacks import ATTACKS
from melmoat.bench.cell import Cell, grid
from melmoat.bench.worker import Choose
from melmoat.errors import MelmoatError, alike

SHIPPED = Path(__file__).parents[1] / "suites"  # of an installed melmoat
CHECKOUT = Path(__file__).parents[3] / "suites"


@dataclass(frozen=True)
class TableRow:
    """One line of a table: a recognizer behind a defense.

    Args:
        stochastic: whether attacks that average the loss over draws (EOT) apply.
        paper: the paper's WER by column, if it has one.
        target: the paper's target WER by column, if it has one.
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
        limit: utterances (0 = all).
        data: default corpus spec.
        choose: which utterances ``limit`` takes (:func:`melmoat.bench.worker.choose`).
    """

    name: str
    rows: Sequence[TableRow]
    columns: Mapping[str, str]
    averaging: frozenset[str] = frozenset()
    limit: int = 0
    data: str = "demo"
    choose: Choose = "shuffled"

    def faces(self, row: TableRow, column: str) -> bool:
        """Whether this column's attack is used against this row."""
        return row.stochastic or column not in self.averaging

    def file(self, data: str, seed: int = 0) -> str:
        """The file name of a corpus's table. For the default corpus it is the suite's name."""
        parts = [self.name]
        if data != self.data:
            parts.append(re.sub(r"[^\w.]+", "-", data).strip("-"))
        return "-".join(parts + ([f"seed-{seed}"] if seed else [])) + ".md"

    def cells(self, data: str = "", seed: int = 0) -> dict[tuple[str, str], Cell]:
        """Every cell by its row's and column's labels, column by column."""
        attacks, corpora = self.columns.values(), [data or self.data]
        found = {  # each defense is built once, which loads its vocoder
            row.label: {
                cell.attack: cell
                for cell in grid([row.model], [row.defense], attacks, corpora, seed)
            }
            for row in self.rows
        }
        return {
            (row.label, column): found[row.label][ATTACKS.declared(attack)]
            for column, attack in self.columns.items()
            for row in self.rows
            if self.faces(row, column)
        }

    def chosen(
        self, rows: Sequence[str], columns: Sequence[str], data: str = "", seed: int = 0
    ) -> dict[tuple[str, str], Cell]:
        """The cells of these rows and columns; an empty list means all of them.

        Raises:
            MelmoatError: a label is unknown; the message lists the known ones.
        """
        for kind, wanted, known in (
            ("row", rows, [row.label for row in self.rows]),
            ("column", columns, list(self.columns)),
        ):
            for label in wanted:
                if label not in known:
                    raise MelmoatError(
                        f"{self.name} has no {kind} {label!r}; it has "
                        f"{', '.join(map(repr, known))}{alike(label, known)}"
                    )
        return {
            (row, column): cell
            for (row, column), cell in self.cells(data, seed).items()
            if (not rows or row in rows) and (not columns or column in columns)
        }


def find(name: str) -> Suite:
    """The suite in a file, in ``suites/NAME.py`` here, or of this name in melmoat.

    Raises:
        MelmoatError: there is no such file, it is not Python, or it does not set ``SUITE``.
    """
    folders = [Path("suites"), SHIPPED if SHIPPED.is_dir() else CHECKOUT]
    places = [Path(name), *(folder / f"{name}.py" for folder in folders)]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        known = sorted({p.stem for folder in folders for p in folder.glob("*.py") if _sets(p)})
        raise MelmoatError(
            f"no suite {name!r}: give a Python file, or one of {', '.join(known)}"
            f"{alike(name, known)}"
        )
    beside = str(file.parent.resolve())
    sys.path.insert(0, beside)
    try:
        suite = runpy.run_path(str(file), run_name="suite").get("SUITE")
    except (SyntaxError, ValueError) as error:  # not Python, or not text
        raise MelmoatError(f"{file}: not a Python file ({error})") from error
    finally:
        sys.path.remove(beside)
    if not isinstance(suite, Suite):
        raise MelmoatError(f"{file}: sets no SUITE (a melmoat.bench.suite.Suite)")
    return suite


def _sets(file: Path) -> bool:
    return re.search(r"^SUITE\b", file.read_text(encoding="utf-8"), re.MULTILINE) is not None

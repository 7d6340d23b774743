"""A run's folder as an object: its rates and rows, and what can be done with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from melmoat import audio
from melmoat.analysis.audit import Audited, audit
from melmoat.analysis.compare import compare_results, find_row
from melmoat.analysis.meaning import Meaning, meanings
from melmoat.analysis.results import Result, RowComparison, read_results
from melmoat.audio import Audio
from melmoat.bench import audio_store
from melmoat.bench.cell import Cell
from melmoat.bench.merging import merge
from melmoat.bench.rows import current
from melmoat.bench.store import Store, StoreError, write_text
from melmoat.bench.suite import Suite
from melmoat.bench.summary import summary_of
from melmoat.decoding import probe
from melmoat.errors import extra
from melmoat.progress import Progress, silent
from melmoat.report import export
from melmoat.report.tables import markdown, robustness

if TYPE_CHECKING:
    import pandas

Which = str | Cell | Mapping[str, Any]


class Run:
    """The results in a run's folder.

    ``print(run)`` shows the table. A run that :func:`melmoat.evaluate` returns has the cells and
    utterances of this call. A run that is opened from its folder has all of them.

    Args:
        folder: folder of the run.
        chosen: for each cell's key, the utterances to count. None counts all.
        temporary: an object to keep alive as long as this one.
    """

    def __init__(
        self,
        folder: str | Path,
        chosen: Mapping[str, Set[str]] | None = None,
        temporary: object = None,
    ) -> None:
        self.folder = Path(folder)
        self._chosen, self._temporary = chosen, temporary
        _ = self._read()  # a folder that is no run fails at once

    def _read(self) -> list[Result]:
        results = read_results(self.folder)
        if self._chosen is None:
            return results
        there = {result.key: result for result in results}
        return [
            replace(there[key], rows={i: row for i, row in there[key].rows.items() if i in ids})
            for key, ids in self._chosen.items()
        ]

    @property
    def results(self) -> list[Result]:
        """Its cells with their rows."""
        return self._read()

    @property
    def summary(self) -> list[dict[str, Any]]:
        """The rates of each cell, in percent, with 95 % intervals."""
        return [
            summary_of(r.cell, r.rows.values(), r.key) | ({"labels": r.labels} if r.labels else {})
            for r in self._read()
        ]

    @property
    def failures(self) -> dict[str, dict[str, str]]:
        """Errors of utterances without a row, by the cell's key and by utterance."""
        store = Store(self.folder)
        failures = {}
        for result in self._read():
            ids = None if self._chosen is None else self._chosen[result.key]
            errors = {
                name: error
                for name, error in store.failures_of(result.key).items()
                if ids is None or name in ids
            }
            if errors:
                failures[result.key] = errors
        return failures

    def rows(self, which: Which | None = None) -> list[dict[str, Any]]:
        """One object per utterance (docs/reading-a-run.md explains the fields).

        Args:
            which: a cell by its name or label or a unique part of it, or a line of ``summary``.
                None: all rows, each with the parts of its cell.

        Raises:
            MelmoatError: no cell or several cells have this name.
        """
        if which is not None:
            return [dict(row) for row in self._find(which).rows.values()]
        return [
            {**_parts(result), **row} for result in self._read() for row in result.rows.values()
        ]

    def _find(self, which: Which) -> Result:
        results = self._read()
        if isinstance(which, Cell):
            which = {"key": next((r.key for r in results if r.cell == which), str(which))}
        text = which if isinstance(which, str) else str(which["key"])
        return find_row(results, text, self.folder)

    def to_pandas(self, rows: bool = False) -> pandas.DataFrame:
        """The summary as a data frame, or all rows.

        Raises:
            MelmoatError: pandas is not installed.
        """
        with extra("pandas", "to_pandas"):
            from pandas import DataFrame
        return DataFrame(self.rows() if rows else export.flat(self.summary))

    def to_csv(self, path: str | Path | None = None, rows: bool = False) -> str:
        """The summary as CSV, or all rows; also written to ``path`` if it is not None."""
        lines = self.rows() if rows else export.flat(self.summary)
        return _write(export.csv_text(lines), path)

    def to_latex(self, path: str | Path | None = None) -> str:
        """A ``tabular`` for each corpus: systems down, attacks across (package booktabs)."""
        return _write(export.latex(self.summary), path)

    def to_markdown(self, path: str | Path | None = None) -> str:
        """The same as Markdown."""
        return _write(export.markdown(self.summary), path)

    def suite_table(self, suite: Suite, data: str = "", seed: int = 0) -> str:
        """A suite's table as Markdown, written into the folder too.

        The table includes other cells of the suite that are in the folder, with all their rows. If
        the utterances of a suite are spread over the corpus, all its cells count all rows: such
        choices do not nest, and suites that share a folder share the rows.

        Raises:
            StoreError: the folder has no cell of the suite on this corpus as it is now.
        """
        everything = json.loads((self.folder / "summary.json").read_text(encoding="utf-8"))
        chosen = self.summary if suite.choose == "shuffled" else []
        by_key = {cell["key"]: current(cell) for cell in [*everything, *chosen]}
        cells = suite.cells(data, seed).items()
        found = {where: by_key[cell.key] for where, cell in cells if cell.key in by_key}
        if not found:  # such as without the corpus; the file may have a table, so it stays
            raise StoreError(
                f"{self.folder} has no cell of {suite.name} on {data or suite.data} as that is "
                f"now; `melmoat export {self.folder} --suite ...` prints what was measured before"
            )
        text = markdown(suite, found)
        write_text(self.folder / suite.file(data or suite.data, seed), text + "\n")
        return text

    def stored_table(self, suite: Suite, data: str = "", seed: int = 0) -> str:
        """A suite's table as Markdown, from the cells that have its specs (``export --suite``).

        It needs no corpus. So it does not see whether the corpus or weights are still those that
        were measured, and writes nothing.

        Raises:
            StoreError: no cell has the specs of the suite.
        """
        stored = {result.cell: result for result in self._read()}
        found = {
            where: summary_of(cell, stored[cell].rows.values(), stored[cell].key)
            for where, cell in suite.cells(data, seed).items()
            if cell in stored
        }
        if not found:
            raise StoreError(f"{self.folder} has no cell of {suite.name} on {data or suite.data}")
        return markdown(suite, found)

    def compare(
        self, other: Run | str | Path | None = None, rows: Sequence[str] = (), target: bool = False
    ) -> list[RowComparison]:
        """Differences between rows, utterance by utterance, with their intervals.

        Args:
            other: another run with the same cells. None compares the rows of this run.
            rows: two rows by name or label.
            target: compare the WER against the attacker's text.
        """
        if other is None:
            return compare_results(self._read(), self.folder, None, None, rows, target)
        run = other if isinstance(other, Run) else Run(other)
        return compare_results(self._read(), self.folder, run.results, run.folder, rows, target)

    def audit(self, bare: bool = False) -> list[Audited]:
        """Signs of a false sense of security in each defended row (``melmoat audit``)."""
        return audit(self._read(), bare)

    def meaning(
        self, rows: Sequence[str] = (), model: str | None = None, progress: Progress = silent
    ) -> list[Meaning]:
        """Semantic distances between references and transcripts (``melmoat meaning``).

        Args:
            rows: cells by name or label; empty: all.
            model: a folder or a hub name of a sentence model; None for all-MiniLM-L6-v2 from its
                package.
            progress: called as ``progress(done, total, what)``, in cells.

        Raises:
            MelmoatError: no cell has English words, the extra ``semantic`` or the package is not
                installed, or the model cannot be read.
        """
        from melmoat.semantic import load

        return meanings(self._read(), self.folder, lambda: load(model), rows, progress)

    def report(self, path: str | Path | None = None) -> Path:
        """Write the run as one HTML page: into its folder, also as Markdown, or only to
        ``path``."""
        from melmoat.report.page import render, write_report

        if path is None:
            return write_report(self.folder)[0]
        write_text(Path(path), render(self.folder)[0])
        return Path(path)

    def audio(self, utterance: str, which: Which | None = None) -> dict[str, Audio]:
        """The saved audio of an utterance: ``clean``, ``adversarial`` and, if the defense is a
        function of audio, ``defended``.

        Args:
            which: the cell, as for :meth:`rows`. Not needed if only one cell has this audio.

        Raises:
            MelmoatError: no such cell, no saved audio, or several cells that have it.
        """
        cells = self._read() if which is None else [self._find(which)]
        by_name = {
            r.name: saved for r in cells if (saved := dict(self._saved_audio(r.key, utterance)))
        }
        if len(by_name) != 1:
            names = "".join(f"\n  {name}" for name in by_name)
            why = f"several cells have audio of {utterance}; name one:{names}"
            raise StoreError(
                why
                if by_name
                else f"{self.folder}: no audio of {utterance} (evaluate with "
                "save_audio=True keeps it)"
            )
        return next(iter(by_name.values()))

    def _saved_audio(self, key: str, utterance: str) -> Iterator[tuple[str, Audio]]:
        for kind in ("clean", "adversarial", "defended"):
            path = audio_store.find(audio_store.home(self.folder, key), utterance, kind)
            if path is not None:
                yield kind, audio.load(path, probe(path, str(path)).rate)

    def merge(self, other: Run | str | Path) -> Run:
        """Add the rows of another run to this folder. After this, the run has all rows of the
        folder.

        Raises:
            StoreError: the runs have different rows of one utterance. Then nothing is changed.
        """
        merge(self.folder, other.folder if isinstance(other, Run) else Path(other))
        self._chosen = None
        return self

    def __repr__(self) -> str:
        console = Console(width=100, no_color=True, file=None, highlight=False)
        with console.capture() as text:
            for table in robustness(self.summary):
                console.print(table)
        return text.get().rstrip()


def _parts(result: Result) -> dict[str, Any]:
    cell = result.cell
    names = {"system_name": result.system_name, "attack_name": result.attack_name}
    return names | asdict(cell)


def _write(text: str, path: str | Path | None) -> str:
    if path is not None:
        write_text(Path(path), text)
    return text

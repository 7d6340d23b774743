"""Runs cells: plans their units, gives them to an executor, writes what comes back.

The folder is written by this process alone, whoever does the units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain

from lhotse import MonoCut

from melmoat import data
from melmoat.audio import AudioError
from melmoat.audio import save as save_audio
from melmoat.bench import audio_store
from melmoat.bench.cell import Cell
from melmoat.bench.executors import Executor, Here
from melmoat.bench.provenance import revision
from melmoat.bench.rows import Row
from melmoat.bench.store import Busy, Store, StoreError, writing
from melmoat.bench.worker import Choose, Measured, Unit, choose, plan
from melmoat.devices import CPU


@dataclass
class Runner:
    """Measures what is missing of cells and writes each batch when it is done.

    Args:
        store: where rows go; rows that are there already are not computed again.
        batch: utterances attacked together.
        limit: utterances of each corpus; 0 for all.
        save_audio: keep clean, adversarial and defended audio as FLAC.
        seconds: most audio of a batch, padding included; 0 for no bound.
        executor: who does the work; this process if not said.
        device: where the workers compute, such as ``cuda``.
        choose: which utterances ``limit`` takes (:func:`melmoat.bench.worker.choose`).
    """

    store: Store
    batch: int = 8
    limit: int = 0
    save_audio: bool = False
    seconds: float = 0
    executor: Executor = field(default_factory=Here)
    device: str = CPU
    choose: Choose = "shuffled"

    def __post_init__(self) -> None:
        self._corpora: dict[str, list[MonoCut]] = {}

    def cuts(self, cell: Cell) -> list[MonoCut]:
        """The utterances of ``cell``, with those that cannot be heard: they fail by themselves."""
        if cell.data not in self._corpora:
            self._corpora[cell.data] = choose(list(data.listed(cell.data)), self.limit, self.choose)
        return self._corpora[cell.data]

    def asked(self) -> dict[str, object]:
        """The settings, as ``run.json`` keeps them."""
        return {
            "batch": self.batch,
            "limit": self.limit,
            "choose": self.choose,
            "save_audio": self.save_audio,
            "seconds": self.seconds,
            "device": self.device,
        }

    def missing(self, cell: Cell) -> list[Unit]:
        """What is left to do of ``cell``."""
        done = {row["id"] for row in self.store.each(cell)}
        units = []
        for batch in plan(self.cuts(cell), self.batch, self.seconds):
            wanted = frozenset(cut.id for cut in batch if cut.id not in done)
            if wanted:
                units.append(Unit(cell, tuple(batch), wanted, self.save_audio, self.device))
        return units

    def run(self, cells: Iterable[Cell], tick: Callable[[Cell, float], None]) -> None:
        """Run what is missing of ``cells``; ``tick(cell, utterances)`` reports progress.

        What fails is noted in the store and the run goes on.

        Raises:
            StoreError: the folder cannot be written; or, after all others were measured, another
                process measures one of the cells, or rows of one are damaged.
        """
        left: Counter[Cell] = Counter()
        claimed: dict[Cell, ExitStack] = {}
        refused: list[StoreError] = []
        try:
            units = self._units(cells, left, claimed, refused, tick)
            for done in self.executor(units, lambda unit, amount: tick(unit.cell, amount)):
                cell = done.unit.cell
                self._write(done)
                left[cell] -= len(done.unit.missing)
                if not left[cell]:
                    claimed.pop(cell).close()
        finally:
            for claim in claimed.values():
                claim.close()
        if refused:
            raise refused[0] if len(refused) == 1 else StoreError("\n".join(map(str, refused)))

    def _units(
        self,
        cells: Iterable[Cell],
        left: Counter[Cell],
        claimed: dict[Cell, ExitStack],
        refused: list[StoreError],
        tick: Callable[[Cell, float], None],
    ) -> Iterator[Unit]:
        """What is missing, cell after cell, each claimed when its first unit is asked for.

        Cells that another process measures come last: it may have let go of them by then. What
        cannot be measured is ``refused``, since an error here would end the work of others too.
        """
        busy: list[Cell] = []
        for cell in chain(cells, busy):
            again = cell in busy
            try:
                units = self._claimed(cell, left, claimed, tick)
            except StoreError as error:
                if isinstance(error, Busy) and not again:
                    busy.append(cell)
                else:
                    refused.append(error)
            else:
                yield from units

    def _claimed(
        self,
        cell: Cell,
        left: Counter[Cell],
        claimed: dict[Cell, ExitStack],
        tick: Callable[[Cell, float], None],
    ) -> list[Unit]:
        with ExitStack() as claim:
            claim.enter_context(self.store.claimed(cell))
            units = self.missing(cell)
            rest = len(self.cuts(cell)) - sum(len(unit.batch) for unit in units)
            if rest:
                tick(cell, rest)
            if units:
                left[cell] = sum(len(unit.missing) for unit in units)
                claimed[cell] = claim.pop_all()
        return units

    def require_whole(self, cells: Iterable[Cell]) -> None:
        """Check that no utterance of ``cells`` failed, of those that are asked for.

        Raises:
            StoreError: some did; names them and their errors.
        """
        failed = []
        for cell in cells:
            asked = {cut.id for cut in self.cuts(cell)}
            failed += [
                f"{cell.defense} / {cell.attack}: {utterance}: {error}"
                for utterance, error in self.store.failures(cell).items()
                if utterance in asked
            ]
        if failed:
            raise StoreError(
                f"{len(failed)} utterance(s) failed; the others are measured, and the same command "
                "tries these again:\n" + "\n".join(failed)
            )

    def others(self, cells: Iterable[Cell]) -> int:
        """How many finished rows of ``cells`` are of utterances that are not asked for."""
        return sum(
            len({row["id"] for row in self.store.each(cell)} - {cut.id for cut in self.cuts(cell)})
            for cell in cells
        )

    def without_audio(self, cells: Iterable[Cell]) -> int:
        """How many finished rows of ``cells`` have no audio in the run's folder."""
        return sum(
            audio_store.find(audio_store.home(self.store.folder, cell.key), row["id"], "clean")
            is None
            for cell in cells
            for row in self.store.each(cell)
        )

    def _write(self, done: Measured) -> None:
        cell = done.unit.cell
        folder = audio_store.home(self.store.folder, cell.key)
        if done.audio:
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
        for kind, audios in done.audio.items():
            for name, audio in audios.items():
                try:
                    save_audio(audio_store.file(folder, name, kind), audio)
                except AudioError as error:  # the folder's fault, not the utterance's
                    raise StoreError(str(error)) from error
        if done.rows:
            rows: list[Row] = [{**row, "revision": revision()} for row in done.rows]
            if done.unit.device != CPU:
                rows = [{**row, "device": done.unit.device} for row in rows]
            self.store.append(cell, rows)
        for name, reason in done.failed.items():
            self.store.fail(cell, name, reason)

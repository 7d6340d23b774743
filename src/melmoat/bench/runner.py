"""Runs cells: plans their units, gives them to an executor, and writes the results.

Only this process writes the folder, with any executor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from typing import get_args

from lhotse import MonoCut

from melmoat import data
from melmoat.audio import AudioError
from melmoat.audio import save as save_audio
from melmoat.bench import audio_store
from melmoat.bench.cell import Cell
from melmoat.bench.executors import Executor, Here
from melmoat.bench.labels import Labels
from melmoat.bench.provenance import revision
from melmoat.bench.rows import Row
from melmoat.bench.store import Busy, Store, StoreError, writing
from melmoat.bench.worker import Choose, Measured, Unit, choose, plan
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.models import hub


@dataclass
class Runner:
    """Measures the missing parts of cells and writes each batch when it is done.

    Args:
        store: folder for the rows; existing rows are not computed again.
        batch: number of utterances that are attacked together.
        limit: utterances per corpus (0 = all).
        save_audio: keep clean, adversarial and defended audio as FLAC.
        seconds: most audio in a batch, with padding (0 = no limit).
        executor: executes the units; by default in this process.
        device: where the workers compute, such as ``cuda``.
        choose: which utterances ``limit`` takes (:func:`melmoat.bench.worker.choose`).

    Raises:
        MelmoatError: one of these has a value that it cannot have.
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
        for name, least in (("batch", 1), ("limit", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise MelmoatError(f"{name} must be a whole number from {least}, got {value!r}")
        if not self.seconds >= 0:
            raise MelmoatError(f"seconds must be 0 (no limit) or more, got {self.seconds!r}")
        if self.choose not in (known := get_args(Choose)):
            raise MelmoatError(f"choose must be one of {', '.join(known)}; got {self.choose!r}")
        self._corpora: dict[str, list[MonoCut]] = {}
        self._chosen: dict[str, list[MonoCut]] = {}
        self._same: set[str] = set()  # corpora that are still those of the rows

    def _corpus(self, spec: str) -> list[MonoCut]:
        if spec not in self._corpora:
            self._corpora[spec] = list(data.listed(spec))
        return self._corpora[spec]

    def cuts(self, cell: Cell) -> list[MonoCut]:
        """The utterances of ``cell``, including those that cannot be read: these fail one by
        one."""
        if cell.data not in self._chosen:
            self._chosen[cell.data] = choose(self._corpus(cell.data), self.limit, self.choose)
        return self._chosen[cell.data]

    def begin(self, cells: Sequence[Cell], labels: Mapping[Cell, Labels] | None = None) -> None:
        """Write what is asked into the run's folder (:meth:`Store.begin`).

        Raises:
            StoreError: the folder cannot be used, or it has rows of utterances whose audio or text
                has changed since: a cell's key knows a corpus by its list of texts only.
        """
        corpora = {cell.data for cell in cells} - self._same
        there = self.store.keys().items()
        before = self.store.speech(
            {cell: key for cell, key in there if cell.data in corpora and _still(cell, key)}
        )
        changed = [
            cut.id
            for corpus in corpora
            for cut in self._corpus(corpus)
            if (was := before.get((corpus, cut.id))) and data.fingerprint(cut) not in (was, None)
        ]
        if changed:
            raise StoreError(
                f"{self.store.folder} has rows of {len(changed)} utterance(s) whose audio or text "
                f"has changed since, such as {min(changed)}; new rows would be of other speech. "
                "Bring the old files back, or give another folder (--out)"
            )
        self._same |= corpora
        self.store.begin(cells, self.asked(), labels)

    def asked(self) -> dict[str, object]:
        """The settings, for ``run.json``."""
        return {
            "batch": self.batch,
            "limit": self.limit,
            "choose": self.choose,
            "save_audio": self.save_audio,
            "seconds": self.seconds,
            "device": self.device,
        }

    def missing(self, cell: Cell) -> list[Unit]:
        """The unfinished units of ``cell``."""
        done = {row["id"] for row in self.store.each(cell)}
        units = []
        for batch in plan(self.cuts(cell), self.batch, self.seconds):
            wanted = frozenset(cut.id for cut in batch if cut.id not in done)
            if wanted:
                settings = (self.save_audio, self.device)
                units.append(Unit(cell, tuple(batch), wanted, *settings, commits=hub.settled()))
        return units

    def run(self, cells: Iterable[Cell], tick: Callable[[Cell, float], None]) -> None:
        """Run the missing units of ``cells``; ``tick(cell, utterances)`` reports progress.

        Failures are recorded in the store, and the run continues.

        Raises:
            StoreError: the folder cannot be written; or, after all other cells, another process is
                measuring a cell, or its rows are damaged.
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
        """The missing units, cell after cell. A cell is claimed when its first unit is requested.

        Cells that another process is measuring come last: it may have finished by then. A cell that
        cannot be measured goes to ``refused``, because an error here would also end the other
        cells.
        """
        busy: list[Cell] = []
        begun: set[str] = set()
        for cell in chain(cells, busy):
            again = cell in busy
            if cell.key in begun and not again:  # another spelling of the same parts
                tick(cell, len(self.cuts(cell)))
                continue
            begun.add(cell.key)
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
        """Check that no requested utterance of ``cells`` failed.

        Raises:
            StoreError: some failed; the message names them and their errors.
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
        """The number of finished rows of ``cells`` for utterances that are not requested."""
        return sum(
            len({row["id"] for row in self.store.each(cell)} - {cut.id for cut in self.cuts(cell)})
            for cell in cells
        )

    def without_audio(self, cells: Iterable[Cell]) -> int:
        """The number of finished rows of ``cells`` without audio in the run's folder."""
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


def _still(cell: Cell, key: str) -> bool:
    """Whether the parts of a cell of a run are still those that ``key`` was made of."""
    try:
        return cell.key == key
    except (MelmoatError, OSError):  # such as weights that are no longer here
        return False

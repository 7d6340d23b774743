"""Runs the ensemble as a cascade: what has fallen is left alone.

Each member at each level is a cell of an ordinary run's folder. What is attacked next follows from
the rows alone. So a run that was stopped goes on to the same figures, with any executor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain

from lhotse import MonoCut

from melmoat import data, defenses, models
from melmoat.analysis.evidence import BROKEN
from melmoat.audio import Audio
from melmoat.bench.cell import Cell
from melmoat.bench.runner import Runner
from melmoat.bench.store import StoreError
from melmoat.bench.worker import Unit
from melmoat.devices import usable
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import as_written_by, transcribe
from melmoat.progress import Progress, silent
from melmoat.standard.book import Book, Row
from melmoat.standard.figures import CLEAN, HALF
from melmoat.standard.levels import LARGE, Level, in_order
from melmoat.standard.members import DRAWS, HELPS, Effort, Ensemble, Member, Walk
from melmoat.standard.probe import Probe, probe
from melmoat.standard.subject import Subject
from melmoat.text import TextError

PROBED = 2  # utterances that the live system is looked at with


@dataclass
class Cascade(Runner):
    """A runner of which each cell measures some utterances, under several draws.

    Args:
        draws: how many choose, and how many judge.
    """

    draws: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.left: dict[Cell, frozenset[str]] = {}

    def cuts(self, cell: Cell) -> list[MonoCut]:
        """The chosen utterances that are left for ``cell``."""
        chosen = super().cuts(cell)
        left = self.left.get(cell)
        return chosen if left is None else [cut for cut in chosen if cut.id in left]

    def missing(self, cell: Cell) -> list[Unit]:
        """The unfinished units of ``cell``."""
        return [replace(unit, draws=self.draws) for unit in super().missing(cell)]


@dataclass
class Measured:
    """Everything that a run found; see :class:`melmoat.standard.verdict.Evidence`."""

    subject: Subject
    effort: Effort
    probe: Probe
    stochastic: bool
    book: Book
    levels: list[Level] = field(default_factory=list)
    draws: dict[Level, int] = field(default_factory=dict)
    doubled: dict[Level, list[str]] = field(default_factory=dict)
    rounds: dict[tuple[Level, Walk], list[str]] = field(default_factory=dict)
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)


class Engine:
    """One system's run.

    Args:
        runner: where rows are kept, and how they are measured.
        progress: called as ``progress(done, total, what)``, member by member; ``what`` also says
            how many attacks have begun, and how many there are at most.
    """

    def __init__(
        self, subject: Subject, effort: Effort, runner: Cascade, progress: Progress | None = None
    ) -> None:
        self.runner, self.tell = runner, progress or silent
        found, self.ensemble = ensemble(subject, effort, runner)
        self.begun = 0
        self.most = sum(map(len, chain(*(stages for _, stages in self.ensemble.everything()))))
        clean = self.ensemble.clean()
        rows = self._measure([clean], None)[0]
        if not rows:
            runner.require_whole([clean.cell])
        self.out = Measured(subject, effort, found, self.ensemble.stochastic, Book(rows))
        if lost := self._failures(clean):
            self.out.failures[CLEAN] = lost

    def run(self) -> Measured:
        """Every level, the least budget first; quieter ones, while half of the words fall at the
        least; and a large one, if none broke the system."""
        out, book, effort = self.out, self.out.book, self.ensemble.effort
        for level in effort.levels:
            self._level(level)
        least = effort.levels[0]
        for level in effort.quiet:
            if book.chosen_rate(least) < HALF:
                break
            self._level(level)
            least = level
        loudest = max((lv for lv in out.levels if lv.norm == "l2"), key=lambda lv: -lv.db)
        if book.chosen_rate(loudest) < BROKEN:
            out.levels.append(LARGE)
            self._cheap(LARGE)
        out.levels = list(in_order(tuple(out.levels)))
        return out

    def _level(self, level: Level) -> None:
        """Cheap members first."""
        e = self.ensemble
        self.out.levels.append(level)
        eot = self._cheap(level)
        if not e.effort.is_deep(level):
            return
        self._stage(level, e.other_gradients(level, eot))
        for walk in e.walks:
            self._stage(level, e.targeted(level, eot, walk))
        for walk in e.walks:
            self._long(level, eot, walk)
        self._stage(level, e.blocks(level, eot))
        for walk in e.walks:
            self._stage(level, e.around(level, eot, walk))

    def _cheap(self, level: Level) -> int:
        """The noise and members 1 and 2; how many draws of a step helped."""
        self._stage(level, self.ensemble.noise(level))
        self._stage(level, self.ensemble.descent(level))
        eot = self._sequence(level)
        self._margins(level, eot)
        self._stage(level, self.ensemble.box(level))
        return eot

    def _margins(self, level: Level, eot: int) -> None:
        """Member 2, and before it member 1 where samples are rounded."""
        self._stage(level, self.ensemble.lattice(level, eot))
        for walk in self.ensemble.walks:
            self._stage(level, self.ensemble.margin(level, eot, walk))

    def _sequence(self, level: Level) -> int:
        """Member 1, with more and more draws while they help; how many helped."""
        used, names = 1, self.out.doubled.setdefault(level, [])
        for eot in self.ensemble.draws:
            added = self._stage(level, self.ensemble.sequence(level, eot))
            if added is None:  # nothing is left
                names.clear()
                break
            names += [member.name for member in self.ensemble.sequence(level, eot)]
            if eot > 1 and added < HELPS:
                break
            used = eot
        self.out.draws[level] = used
        return used

    def _long(self, level: Level, eot: int, walk: Walk) -> None:
        """Member 4, round after round while they help."""
        names = self.out.rounds.setdefault((level, walk), [])
        for number in range(len(self.ensemble.effort.rounds)):
            members = self.ensemble.long(level, eot, number, walk)
            added = self._stage(level, members)
            if added is None:
                names.clear()
                break
            names += [member.name for member in members]
            if number and added < HELPS:
                break

    def _stage(self, level: Level, members: Sequence[Member]) -> float | None:
        """Run ``members`` on what is left; points that they added, None if nothing is left
        after them."""
        book = self.out.book
        before, left = book.chosen_rate(level), set(book.ids) - book.fallen(level)
        some = [member for member in members if member.everyone or left]
        for member, rows in zip(some, self._measure(some, level, left), strict=True):
            book.add(level, member, rows)
        if not set(book.ids) - book.fallen(level):
            return None
        return book.chosen_rate(level) - before

    def _measure(
        self, members: Sequence[Member], level: Level | None, left: set[str] | None = None
    ) -> list[list[Row]]:
        """The rows of each member, measured where they are missing."""
        if not members:
            return []
        runner, store = self.runner, self.runner.store
        everyone = left if level is None else set(self.out.book.ids)
        wanted = {member.cell: everyone if member.everyone else left for member in members}
        cells = list(wanted)
        for cell, ids in wanted.items():
            if ids is not None:
                runner.left[cell] = frozenset(ids)
        at = f" at {level.name}" if level else ""
        labels = {m.cell: {"attack": f"{m.name}{at}"} for m in members}
        runner.begin(cells, labels)
        first, self.begun = self.begun, self.begun + (len(cells) if level else 0)
        numbers = {cell: first + number for number, cell in enumerate(cells, 1)}
        total, done = sum(len(runner.cuts(cell)) for cell in cells), 0.0

        def tick(cell: Cell, amount: float) -> None:
            nonlocal done
            done += amount
            number = f"attack {numbers[cell]} of at most {self.most}, " if level else ""
            self.tell(done, total, f"{number}{labels[cell]['attack']}")

        runner.run(cells, tick)
        if level is not None:
            self._note_failures(members, level)
        found: list[list[Row]] = []
        for member in members:
            ids = {cut.id for cut in runner.cuts(member.cell)}
            found.append([row for row in store.rows(member.cell) if row["id"] in ids])
            drawn = {len(row["draws"]["judging"]) if "draws" in row else 0 for row in found[-1]}
            if 0 in drawn:
                raise StoreError(
                    f"{store.folder} has rows of another command; give the evaluation its own "
                    "folder (--out)"
                )
            if other := drawn - {runner.draws}:  # one draw both chooses and judges
                raise StoreError(
                    f"{store.folder} has rows of {max(other)} judging draw(s), and the system "
                    f"wants {runner.draws} now: an earlier call did not find the same randomness; "
                    "give the evaluation its own folder (--out)"
                )
        return found

    def _failures(self, member: Member) -> dict[str, str]:
        """The errors of utterances that ``member`` was to measure, and that have no row."""
        ids = {cut.id for cut in self.runner.cuts(member.cell)}
        failed = self.runner.store.failures(member.cell)
        return {name: why for name, why in failed.items() if name in ids}

    def _note_failures(self, members: Sequence[Member], level: Level) -> None:
        for member in members:
            if failed := self._failures(member):
                self.out.failures[f"{member.name} at {level.name}"] = failed
                if member.role in ("gradient", "targeted", "around"):
                    self.out.failed[member.name] = self.out.failed.get(member.name, 0) + len(failed)


def ensemble(subject: Subject, effort: Effort, runner: Cascade) -> tuple[Probe, Ensemble]:
    """What was seen of the live system, and the members that fit it; ``runner`` gets its draws."""
    found = look(subject, runner)
    stochastic = found.stochastic or not found.repeatable or bool(subject.stochastic)
    runner.draws = DRAWS if stochastic else 1
    return found, Ensemble(subject, effort, stochastic)


def look(subject: Subject, runner: Cascade) -> Probe:
    """The live system on the shortest of the chosen utterances.

    Raises:
        MelmoatError: none can be read, or the device cannot be used.
    """
    usable(runner.device)
    alone = models.load(subject.model)
    system = defenses.build(subject.defense).wrap(alone)
    clean = Cell(subject.model, subject.defense, "none", subject.data, subject.seed)
    sound = [cut for cut in runner.cuts(clean) if not data.fault(cut)]
    some = sorted(sound, key=lambda cut: (cut.duration, cut.id))[:PROBED]
    if not some:
        raise MelmoatError(f"{subject.data}: no utterance can be read")
    waves = [data.recording(cut, system.rate).audio.wav[0] for cut in some]
    audio = Audio.of(waves, system.rate).quantized().to(runner.device)
    texts = [as_written_by(system, data.written(cut)) for cut in some]
    try:
        return probe(system, alone, audio, texts)
    except TextError:  # a text that it cannot write
        heard = transcribe(system, audio, Draws(range(len(some))))
        return probe(system, alone, audio, heard)

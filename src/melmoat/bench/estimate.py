"""Estimates the time of a run from a few steps of each cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from melmoat import data
from melmoat.attacks.base import adapt_goal
from melmoat.bench.cell import Cell
from melmoat.bench.runner import Runner
from melmoat.bench.worker import Unit, Worker
from melmoat.draws import Draws
from melmoat.errors import one_line
from melmoat.models.base import as_written_by, transcribe
from melmoat.models.wrappers import Monitored

EVALUATIONS = 2
Known = dict[tuple[object, ...], tuple[list[str], float]]  # transcripts, seconds


@dataclass(frozen=True)
class Pace:
    """Seconds that a batch takes.

    Attributes:
        audio: seconds of audio in it, with padding.
        listening: of one transcription.
        each: of an evaluation of the attack; 0 if it ended before it was timed.
        whole: of the attack, if it ended before it was timed; 0 otherwise.
    """

    audio: float
    listening: float
    each: float
    whole: float

    def seconds(self, units: Iterable[Unit], evaluations: int, transcripts: int = 2) -> float:
        """Estimate for ``units`` with so many evaluations and transcriptions of each."""
        one = transcripts * self.listening + evaluations * self.each + self.whole
        return one * sum(map(_audio, units)) / self.audio


@dataclass(frozen=True)
class Estimate:
    """A cell's remaining work.

    Attributes:
        missing: number of utterances without a row.
        seconds: estimated time for these on one worker of this machine.
        failed: why there is no estimate.
    """

    cell: Cell
    missing: int
    seconds: float
    failed: str = ""


class _EnoughError(Exception):
    pass


def estimate(
    runner: Runner, cells: Iterable[Cell], tick: Callable[[Cell], None] = lambda cell: None
) -> list[Estimate]:
    """Time a few evaluations of each cell on a batch of middle length. Nothing is written.

    Finished cells are not timed. ``tick`` is called after each cell.
    """
    worker = Worker()
    known: Known = {}
    estimates = []
    for cell in cells:
        units = runner.missing(cell)
        sound = [unit for unit in units if not data.fault(unit.batch[0])]
        seconds, failed = 0.0, ""
        if sound:
            sample = sound[len(sound) // 2]
            attack = worker.system(cell)[2]  # an error here would also end the run
            worker.usable(runner.device)
            try:
                seconds = pace(worker, sample, known).seconds(sound, attack.evaluations)
            except Exception as error:  # the run also records it and continues
                failed = one_line(error)
        estimates.append(Estimate(cell, sum(len(unit.missing) for unit in units), seconds, failed))
        tick(cell)
    return estimates


def _audio(unit: Unit) -> float:
    """Seconds of audio in a unit's batch, with padding."""
    return len(unit.batch) * float(unit.batch[0].duration)


def pace(worker: Worker, unit: Unit, known: Known) -> Pace:
    """The pace of ``unit``, from a transcription and the first evaluations.

    ``known`` stores the transcription for other attacks on the same system.
    """
    model, _, attack = worker.system(unit.cell)
    audio = data.read(unit.batch, model.rate).to(unit.device).quantized()
    draws = Draws(unit.cell.seed_of(cut.id) for cut in unit.batch)
    references = [as_written_by(model, data.written(cut)) for cut in unit.batch]
    system = (replace(unit.cell, attack="none"), *(cut.id for cut in unit.batch))
    if system not in known:
        transcribe(model, audio, draws)  # the first pass of a system costs more than the others
        began = time.perf_counter()
        benign = transcribe(model, audio, draws)
        known[system] = benign, time.perf_counter() - began
    benign, listening = known[system]
    marks = [time.perf_counter()]

    def tick() -> None:
        marks.append(time.perf_counter())
        if len(marks) > EVALUATIONS + 2:
            raise _EnoughError

    with suppress(_EnoughError):
        goal = adapt_goal(worker.goal(unit.cell, attack, benign, references), model)
        attack(Monitored(model, tick), audio, goal, draws)
    steps = marks[1:]
    if len(steps) < 3:  # the attack ended before it was timed
        return Pace(_audio(unit), listening, 0.0, time.perf_counter() - marks[0])
    # The first evaluation also allocates memory, so it does not count.
    each = (steps[-1] - steps[1]) / (len(steps) - 2)
    return Pace(_audio(unit), listening, each, 0.0)

"""What a run will cost, from a few steps of each cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from melmoat import data
from melmoat.bench.cell import Cell
from melmoat.bench.runner import Runner
from melmoat.bench.worker import Unit, Worker
from melmoat.draws import Draws
from melmoat.errors import told
from melmoat.models.base import as_written_by, transcribe
from melmoat.models.wrappers import Monitored

EVALUATIONS = 2
Known = dict[tuple[object, ...], tuple[list[str], float]]  # transcripts, seconds


@dataclass(frozen=True)
class Estimate:
    """A cell's remaining work.

    Attributes:
        missing: utterances without a row.
        seconds: how long they take on one worker of this machine.
        failed: why that is not known.
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
    """Time a few evaluations of each cell on a batch of middle length; nothing is written.

    Cells with nothing left are not timed. ``tick`` is called after each cell.
    """
    worker = Worker()
    known: Known = {}
    found = []
    for cell in cells:
        units = runner.missing(cell)
        sound = [unit for unit in units if not data.fault(unit.batch[0])]
        seconds, failed = 0.0, ""
        if sound:
            sample = sound[len(sound) // 2]
            worker.system(cell)  # what cannot be built ends the run itself too
            worker.usable(runner.device)
            try:
                seconds = _timed(worker, sample, known) * sum(map(_audio, sound)) / _audio(sample)
            except Exception as error:  # as in the run, which notes it and goes on
                failed = told(error)
        found.append(Estimate(cell, sum(len(unit.missing) for unit in units), seconds, failed))
        tick(cell)
    return found


def _audio(unit: Unit) -> float:
    """Seconds of audio that a unit's batch computes on, padding included."""
    return len(unit.batch) * float(unit.batch[0].duration)


def _timed(worker: Worker, unit: Unit, known: Known) -> float:
    """Seconds that ``unit`` takes, from a transcription and the first evaluations.

    ``known`` keeps the transcription for the other attacks on the same system.
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
        goal = worker.goal(unit.cell, attack, benign, references)
        attack(Monitored(model, tick), audio, goal, draws)
    steps = marks[1:]
    if len(steps) < 3:  # an attack that is over before it was timed
        return 2 * listening + time.perf_counter() - marks[0]
    # The first evaluation is the one that finds its memory.
    each = (steps[-1] - steps[1]) / (len(steps) - 2)
    return 2 * listening + attack.evaluations * each

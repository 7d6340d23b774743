"""What a run will cost, from a few steps of each cell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from melmoat import data
from melmoat.bench.cell import Cell
from melmoat.bench.runner import Runner
from melmoat.bench.work import Unit, Worker
from melmoat.draws import Draws
from melmoat.models.wrappers import Watched

EVALUATIONS = 2
Heard = dict[tuple[object, ...], tuple[list[str], float]]  # transcripts, seconds


@dataclass(frozen=True)
class Estimate:
    """A cell's remaining work.

    Attributes:
        missing: utterances without a row.
        seconds: how long they take on one worker of this machine.
    """

    cell: Cell
    missing: int
    seconds: float


class _EnoughError(Exception):
    pass


def estimate(
    runner: Runner, cells: Iterable[Cell], tick: Callable[[Cell], None] = lambda cell: None
) -> list[Estimate]:
    """Time a few evaluations of each cell on a batch of middle length; nothing is written.

    Cells with nothing left are not timed. ``tick`` is called after each cell.
    """
    worker = Worker()
    heard: Heard = {}
    found = []
    for cell in cells:
        units = runner.missing(cell)
        seconds = 0.0
        if units:
            sample = units[len(units) // 2]
            seconds = _timed(worker, sample, heard) * sum(map(_audio, units)) / _audio(sample)
        found.append(Estimate(cell, sum(len(unit.missing) for unit in units), seconds))
        tick(cell)
    return found


def _audio(unit: Unit) -> float:
    """Seconds of audio that a unit's batch computes on, padding included."""
    return len(unit.batch) * float(unit.batch[0].duration)


def _timed(worker: Worker, unit: Unit, heard: Heard) -> float:
    """Seconds that ``unit`` takes, from a transcription and the first evaluations.

    ``heard`` keeps the transcription for the other attacks on the same system.
    """
    model, _, attack = worker.system(unit.cell)
    audio = data.read(unit.batch, model.rate).quantized()
    draws = Draws(unit.cell.seed_of(cut.id) for cut in unit.batch)
    truth = [cut.supervisions[0].text or "" for cut in unit.batch]
    system = (replace(unit.cell, attack="none"), *(cut.id for cut in unit.batch))
    if system not in heard:
        model.transcribe(audio, draws)  # the first pass of a system costs more than the others
        began = time.perf_counter()
        benign = model.transcribe(audio, draws)
        heard[system] = benign, time.perf_counter() - began
    benign, listening = heard[system]
    marks = [time.perf_counter()]

    def tick() -> None:
        marks.append(time.perf_counter())
        if len(marks) > EVALUATIONS + 2:
            raise _EnoughError

    with suppress(_EnoughError):
        goal = worker.goal(unit.cell, attack, benign, truth)
        attack(Watched(model, tick), audio, goal, draws)
    steps = marks[1:]
    if len(steps) < 3:  # an attack that is over before it was timed
        return 2 * listening + time.perf_counter() - marks[0]
    # The first evaluation is the one that finds its memory.
    each = (steps[-1] - steps[1]) / (len(steps) - 2)
    return 2 * listening + attack.evaluations * each

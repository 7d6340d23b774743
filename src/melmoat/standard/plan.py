"""What an evaluation may cost, from a few steps of each kind of attack."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from melmoat import attacks, data
from melmoat.attacks import ATTACKS
from melmoat.bench.cell import Cell
from melmoat.bench.estimate import Known, Pace, pace
from melmoat.bench.worker import Unit, Worker, plan
from melmoat.errors import one_line
from melmoat.progress import Progress, silent
from melmoat.standard.engine import Cascade, ensemble
from melmoat.standard.levels import LARGE, Level
from melmoat.standard.members import Effort, Ensemble, Member
from melmoat.standard.subject import Subject


@dataclass(frozen=True)
class Planned:
    """A member at a level.

    Attributes:
        passes: with gradients, most of an utterance.
        queries: transcripts that a search asks for, most of an utterance.
        seconds: estimate for all utterances on one worker of this machine.
        least: whether it also runs where every utterance falls at the first attack.
        failed: why there is no estimate; the run also notes such errors, and goes on.
    """

    level: Level
    member: Member
    passes: int
    queries: int
    seconds: float
    least: bool
    failed: str = ""


@dataclass(frozen=True)
class Plan:
    """The least and the most that an evaluation may cost.

    Attributes:
        members: every member that may run at each level.
        utterances: number of those that can be read.
        draws: how many judge; 1 if two passes do not differ.
    """

    subject: Subject
    effort: Effort
    members: list[Planned]
    utterances: int
    draws: int


def forecast(
    subject: Subject, effort: Effort, runner: Cascade, progress: Progress = silent
) -> Plan:
    """What the evaluation of ``subject`` may cost. Of attacks that differ in their length only,
    one is timed; nothing is written.

    Raises:
        MelmoatError: no utterance can be read.
    """
    _, some = ensemble(subject, effort, runner)
    worker, known = Worker(), Known()
    paces: dict[tuple[str, ...], Pace | str] = {}
    found, whole = [], list(members(some))
    for number, (level, member, least) in enumerate(whole):
        progress(number, len(whole), member.name)
        cell = member.cell
        attack, units = attacks.build(cell.attack), _units(cell, runner)
        kind = ATTACKS.parse(cell.attack).name
        alike = (cell.attack if kind == "transfer" else kind, cell.defense, cell.data)
        if alike not in paces:
            try:
                paces[alike] = pace(worker, units[len(units) // 2], known)
            except Exception as error:
                paces[alike] = one_line(error)
        timed, seconds, failed = paces[alike], 0.0, ""
        if isinstance(timed, str):
            failed = timed
        else:  # as many draws judge as choose; a transcript of each
            seconds = timed.seconds(units, attack.evaluations, 2 * runner.draws)
        searches = member.name == "blocks"
        passes, queries = (0, attack.evaluations) if searches else (attack.evaluations, 0)
        found.append(Planned(level, member, passes, queries, seconds, least, failed))
    utterances = sum(not data.fault(cut) for cut in runner.cuts(some.clean().cell))
    return Plan(subject, effort, found, utterances, runner.draws)


def members(e: Ensemble) -> Iterator[tuple[Level, Member, bool]]:
    """Every member that may run, and whether it also runs where every utterance falls at the first
    attack."""
    tried: list[Level] = []
    for level, stages in e.everything():
        fallen = level == LARGE or any(level.contains(other) for other in tried)
        tried.append(level)
        for number, stage in enumerate(stages):
            for member in stage:  # the noise and one attack come first
                yield level, member, member.everyone or (number < 2 and not fallen)


def _units(cell: Cell, runner: Cascade) -> list[Unit]:
    """All batches of utterances that can be read, whatever was measured already."""
    sound = [cut for cut in runner.cuts(cell) if not data.fault(cut)]
    batches = plan(sound, runner.batch, runner.seconds)
    return [Unit(cell, tuple(some), frozenset(), device=runner.device) for some in batches]

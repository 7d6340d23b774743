"""Splits a cell into independent units, and executes a unit.

A unit gives the same rows in any process and in any order. Its seeds derive from the cell and the
utterances, and its batch was planned from the cell's whole list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from typing import Literal

import torch
from lhotse import MonoCut

from melmoat import attacks, data, defenses, models
from melmoat.attacks.base import Attack, Goal
from melmoat.audio import Audio
from melmoat.bench.cell import Cell
from melmoat.bench.fresh import fresh_draws
from melmoat.bench.judge import Outcome, judge, rows_of
from melmoat.bench.rows import Row
from melmoat.defenses import Defense, apply, function_of_audio
from melmoat.devices import CPU, usable
from melmoat.draws import Draws, derive
from melmoat.errors import one_line
from melmoat.memory import keep_freed_memory
from melmoat.models import hub
from melmoat.models.base import Recognizer, as_written_by, transcribe

TRIES = 3  # tries of a unit whose process dies
HEARD = 10_000  # batches whose benign transcripts a worker remembers

Choose = Literal["shuffled", "spread"]
Tick = Callable[[float], None]
System = tuple[Recognizer, Defense, Attack]


def choose(cuts: Sequence[MonoCut], limit: int, how: Choose = "shuffled") -> list[MonoCut]:
    """``limit`` of the cuts, in their order (0 = all).

    Args:
        how: ``shuffled``: the first ones of a fixed shuffle, so a larger limit adds to a smaller
            one; ``spread``: evenly over the corpus, and so over its speakers.
    """
    if not limit or limit >= len(cuts):
        return list(cuts)
    if how == "spread":
        return [cuts[i * len(cuts) // limit] for i in range(limit)]
    places = sorted(range(len(cuts)), key=lambda i: derive("choose", cuts[i].id))
    return [cuts[i] for i in sorted(places[:limit])]


def plan(cuts: Sequence[MonoCut], batch: int, seconds: float = 0) -> list[list[MonoCut]]:
    """Batches of similar length, longest first, so that memory runs out at once or never.

    Utterances that cannot be read come last, each alone, so they do not change other batches.

    Args:
        batch: most utterances in a batch.
        seconds: most audio in a batch, with padding (0 = no limit). A longer utterance has its own
            batch.
    """
    batches: list[list[MonoCut]] = []
    whole = [cut for cut in cuts if not data.fault(cut)]
    for cut in sorted(whole, key=lambda cut: (-cut.duration, cut.id)):
        last = batches[-1] if batches else []
        fits = not seconds or (bool(last) and (len(last) + 1) * last[0].duration <= seconds)
        if last and len(last) < batch and fits:
            last.append(cut)
        else:
            batches.append([cut])
    return batches + [[cut] for cut in cuts if data.fault(cut)]


@dataclass(frozen=True)
class Unit:
    """One batch of one cell.

    Args:
        batch: all its utterances; they are attacked together.
        missing: ids of the utterances whose rows are needed.
        audio: whether to keep the audio, too.
        device: device to compute on; the rows are the same up to float rounding.
        draws: how many draws choose, and as many judge (:func:`melmoat.bench.fresh.fresh_draws`);
            none if 0.
        commits: what names of the hub stand for in the process that made the cell's key.
    """

    cell: Cell
    batch: tuple[MonoCut, ...]
    missing: frozenset[str]
    audio: bool = False
    device: str = CPU
    draws: int = 0
    commits: tuple[hub.Commit, ...] = ()


@dataclass
class Measured:
    """The result of a unit: every missing utterance has a row or an error.

    Args:
        failed: errors by utterance.
        audio: clean, adversarial and, behind a front-end, defended audio by kind, then utterance.
    """

    unit: Unit
    rows: list[Row] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    audio: dict[str, dict[str, Audio]] = field(default_factory=dict)


class Worker:
    """Executes units. Recognizers are loaded once.

    Args:
        threads: threads of torch (0 = unchanged).
    """

    def __init__(self, threads: int = 0) -> None:
        if threads:
            torch.set_num_threads(threads)
        keep_freed_memory()
        self._recognizer = lru_cache(maxsize=4)(models.load)
        self._heard: dict[tuple[Cell, tuple[str, ...]], list[str]] = {}
        self.system = lru_cache(maxsize=2)(self._build)
        self._texts = lru_cache(maxsize=4)(_texts)
        self.usable = lru_cache(maxsize=4)(usable)

    def _build(self, cell: Cell) -> System:
        defense = defenses.build(cell.defense)
        return defense.wrap(self._recognizer(cell.model)), defense, attacks.build(cell.attack)

    def goal(self, cell: Cell, attack: Attack, benign: list[str], references: list[str]) -> Goal:
        """The goal of ``attack`` for utterances of ``cell`` with these transcripts."""
        return attack.goal(benign, references, partial(self._texts, cell.data), cell.seed)

    def _benign(
        self, cell: Cell, names: Sequence[str], model: Recognizer, audio: Audio
    ) -> list[str]:
        """Transcripts of clean speech, computed once for all attacks on a system."""
        system = replace(cell, attack="none")
        key = (system, tuple(names))
        if key not in self._heard:
            if len(self._heard) >= HEARD:
                self._heard.clear()
            draws = Draws(system.seed_of(name) for name in names).fork("benign")
            self._heard[key] = transcribe(model, audio.quantized(), draws)
        return self._heard[key]

    def measure(self, unit: Unit, tick: Tick = lambda amount: None) -> Measured:
        """Attack and judge ``unit``; ``tick`` reports its utterances, in parts.

        If the batch fails, its utterances are tried one by one. Those that fail alone are recorded.
        """
        hub.settle(*unit.commits)
        system = self.system(unit.cell)
        self.usable(unit.device)
        out = Measured(unit)
        ticked = 0.0

        def count(amount: float) -> None:
            nonlocal ticked
            amount = min(amount, len(unit.batch) - ticked)
            ticked += amount
            tick(amount)

        try:
            self._batch(unit, unit.batch, system, count, out)
            count(len(unit.batch))  # the rest, if the attack ended early
            return out
        except Exception as error:
            reason = one_line(error)
        count(len(unit.batch))
        if len(unit.batch) == 1:
            out.failed[unit.batch[0].id] = reason
        else:  # outside of the handler: its traceback keeps the batch's memory
            self._singles(unit, system, out)
        return out

    def _singles(self, unit: Unit, system: System, out: Measured) -> None:
        for cut in unit.batch:
            if cut.id in unit.missing:
                try:
                    self._batch(unit, (cut,), system, lambda amount: None, out)
                except Exception as error:
                    out.failed[cut.id] = one_line(error)

    def _batch(
        self, unit: Unit, batch: Sequence[MonoCut], system: System, tick: Tick, out: Measured
    ) -> None:
        model, defense, attack = system
        names = [cut.id for cut in batch]
        references = [as_written_by(model, data.written(cut)) for cut in batch]
        draws = Draws(unit.cell.seed_of(name) for name in names)
        share = len(batch) / (attack.evaluations + 1)
        recordings = [data.recording(cut, model.rate) for cut in batch]
        waves = [recording.audio.wav[0] for recording in recordings]
        clean = Audio.of(waves, model.rate).to(unit.device)
        benign = self._benign(unit.cell, names, model, clean)
        goal = self.goal(unit.cell, attack, benign, references)
        outcome = judge(model, clean, attack, references, draws, lambda: tick(share), benign, goal)
        # Everything that may fail comes first, so a batch that is tried again has left nothing.
        gains = [recording.gain for recording in recordings]
        rows = rows_of(names, references, attack, outcome, gains)
        for row, cut in zip(rows, batch, strict=True):
            if speech := data.fingerprint(cut):
                row["speech"] = speech
        if unit.draws:
            heard = fresh_draws(model, outcome, references, draws, unit.draws)
            rows = [{**row, "draws": own} for row, own in zip(rows, heard, strict=True)]
        kinds = _kinds(outcome, defense, draws) if unit.audio else {}
        out.rows += [row for row in rows if row["id"] in unit.missing]
        for kind, audio in kinds.items():
            saved = out.audio.setdefault(kind, {})
            for name, wave in zip(names, audio, strict=True):
                saved[name] = Audio.of([wave], audio.rate).to(CPU)


def _texts(corpus: str) -> tuple[str, ...]:
    """All texts of a corpus, whichever part of it is measured."""
    return tuple(data.written(cut) for cut in data.listed(corpus))


def _kinds(outcome: Outcome, defense: Defense, draws: Draws) -> dict[str, Audio]:
    kinds = {"clean": outcome.clean, "adversarial": outcome.adversarial}
    front = function_of_audio(defense)
    if front is not None:
        kinds["defended"] = apply(front, outcome.adversarial, draws.fork("listen"))
    return kinds


def alone(unit: Unit) -> list[Unit]:
    """``unit`` split into one unit per missing utterance; empty if it has only one utterance."""
    if len(unit.batch) == 1:
        return []
    wanted = [cut for cut in unit.batch if cut.id in unit.missing]
    return [replace(unit, batch=(cut,), missing=frozenset([cut.id])) for cut in wanted]


def lost(unit: Unit, how: str) -> Measured:
    """The result of ``unit`` after its process died ``TRIES`` times."""
    error = f"its process died {TRIES} times ({how}); out of memory? Shorter audio needs less"
    return Measured(unit, failed=dict.fromkeys(sorted(unit.missing), error))

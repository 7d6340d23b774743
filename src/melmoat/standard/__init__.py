"""The standard: one ensemble of attacks, the worst case of each utterance, and a verdict.

It is for speech what AutoAttack (Croce & Hein 2020) is for images. :data:`VERSION` names the
ensemble; what it means does not change after a release. ``melmoat evaluate`` prints the result.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from melmoat.bench.executors import EXECUTORS, Executor, Here, Tick
from melmoat.bench.store import Store, StoreError, write_json
from melmoat.bench.worker import Measured, Unit, Worker
from melmoat.checking import check_at_first
from melmoat.data.in_memory import write_corpus
from melmoat.defenses import DEFENSES, Defense
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, Recognizer
from melmoat.objects import hand, is_object
from melmoat.progress import Progress, silent
from melmoat.standard import plan
from melmoat.standard.engine import Cascade, Engine
from melmoat.standard.levels import Level
from melmoat.standard.members import EFFORTS, VERSION, Effort
from melmoat.standard.plan import Plan
from melmoat.standard.result import Result, at, result_of
from melmoat.standard.subject import subject
from melmoat.standard.text import plan_text, text

FILE = "standard.json"
MEMBERS = "members"  # folder of the run: one cell a member and level


def evaluate(
    model: str | Recognizer,
    defense: str | Defense = "none",
    data: Any = "demo",
    out: str | Path = "melmoat-standard",
    *,
    effort: Literal["full", "quick"] | Effort = "full",
    limit: int = 0,
    seed: int = 0,
    batch: int = 8,
    seconds: float = 0,
    executor: str | Executor = "here",
    device: str = CPU,
    progress: Progress | None = None,
) -> Result:
    """Attack a system with the whole ensemble, and say how far it holds.

    Args:
        model, defense: specs, or objects of your own.
        data: a corpus's spec, a Lhotse CutSet, or a list of pairs (wave, text).
        out: folder of the run. The same call continues a run that was stopped.
        effort: ``full``, or ``quick`` for a first look that is not for publication. One of your own
            is not for publication either.
        limit: utterances (0 = all): the first ones of a fixed shuffle.
        seed: seed of all random draws.
        batch, seconds, executor, device: as for :func:`melmoat.evaluate`.
        progress: called as ``progress(done, total, what)``, in utterances of one member.

    Raises:
        MelmoatError: a part is unknown, the folder has another evaluation, or no utterance can be
            transcribed.
    """
    work = EFFORTS[effort] if isinstance(effort, str) else effort
    home = Path(out)
    specs = [_spec(MODELS, model), _spec(DEFENSES, defense)]
    who = EXECUTORS.build(executor) if isinstance(executor, str) else executor
    if isinstance(who, Here):
        who = Kept()
    elif objects := [spec for spec in specs if is_object(spec)]:
        raise MelmoatError(f"{objects[0]} is an object, and objects work in this process only")
    corpus = data if isinstance(data, str) else write_corpus(data, home / "data")[0]
    check_at_first([(specs[0], specs[1])])
    system = subject(specs[0], specs[1], corpus, seed)
    asked = {
        "version": VERSION,
        "effort": work.label,
        "model": system.model,
        "defense": system.defense,
        "data": system.data,
        "seed": seed,
    }
    _refuse_another(home, asked)
    store = Store(home / MEMBERS)
    runner = Cascade(store, batch, limit, False, seconds, who, device)
    result = result_of(Engine(system, work, runner, progress).run(), device)
    store.summarise()
    write_json(home / FILE, result.as_dict())
    return result


def forecast(
    model: str | Recognizer,
    defense: str | Defense = "none",
    data: str = "demo",
    *,
    effort: Literal["full", "quick"] | Effort = "full",
    limit: int = 0,
    seed: int = 0,
    batch: int = 8,
    seconds: float = 0,
    device: str = CPU,
    progress: Progress | None = None,
) -> Plan:
    """What :func:`evaluate` with these arguments may cost, from a few steps of each kind of attack.

    Nothing is written, and what an earlier call has measured is not taken off.

    Raises:
        MelmoatError: a part is unknown, or no utterance can be read.
    """
    work = EFFORTS[effort] if isinstance(effort, str) else effort
    system = subject(_spec(MODELS, model), _spec(DEFENSES, defense), data, seed)
    runner = Cascade(Store(Path()), batch, limit, False, seconds, device=device)
    return plan.forecast(system, work, runner, progress or silent)


class Kept:
    """This process; recognizers stay loaded from one member to the next."""

    def __init__(self) -> None:
        self.worker = Worker()

    def __call__(self, units: Iterable[Unit], tick: Tick) -> Iterator[Measured]:
        for unit in units:
            yield self.worker.measure(unit, partial(tick, unit))


def _spec(family: Any, part: Any) -> str:
    return part if isinstance(part, str) else hand(family, part)


def _refuse_another(home: Path, asked: dict[str, Any]) -> None:
    """Raise StoreError if the folder has the result of another system, effort or version."""
    path = home / FILE
    if not path.exists():
        return
    try:
        there = json.loads(path.read_text(encoding="utf-8"))
        other = {name: there[name] for name in asked if there[name] != asked[name]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path}: not a result of this melmoat ({error})") from error
    if other:
        said = ", ".join(f"{name} {value}" for name, value in other.items())
        raise StoreError(f"{home} has the evaluation of another {said}; give another --out")


def folder_of(model: str, defense: str, data: str, effort: str) -> str:
    """A folder's name for an evaluation: readable, and its own."""
    digest = hashlib.sha256("\n".join([model, defense, data, effort]).encode()).hexdigest()[:6]
    plain = "-".join(spec.partition(":")[0] for spec in (model, defense))
    return f"{plain}-{effort}-{digest}"


__all__ = [
    "EFFORTS",
    "VERSION",
    "Effort",
    "Level",
    "Plan",
    "Result",
    "at",
    "evaluate",
    "folder_of",
    "forecast",
    "plan_text",
    "text",
]

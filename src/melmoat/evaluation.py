"""The front door: attack systems on a corpus and measure the result.

:func:`evaluate` takes specs or objects. It and ``melmoat bench`` call :func:`measure`, which runs
cells and returns a :class:`melmoat.runs.Run`.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from melmoat.attacks import ATTACKS, Attack
from melmoat.attacks.base import lacking
from melmoat.bench.cell import Cell, grid
from melmoat.bench.executors import EXECUTORS, Executor, Here
from melmoat.bench.labels import Labels, cell_name, of_parts
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store, StoreError
from melmoat.bench.worker import Choose
from melmoat.checking import check_at_first
from melmoat.data import CORPORA
from melmoat.data.in_memory import is_speech, write_corpus
from melmoat.defenses import DEFENSES, Defense
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, Recognizer
from melmoat.models import custom as own_models
from melmoat.objects import hand, is_object, name_of, untold
from melmoat.progress import Progress, silent
from melmoat.runs import Run
from melmoat.spec import Registry

T = TypeVar("T")
Several: TypeAlias = "str | T | Sequence[str | T] | Mapping[str, str | T]"


class RunWarning(UserWarning):
    """A run in which some utterances failed."""


def evaluate(
    model: Several[Recognizer] = "ds2-an4",
    defense: Several[Defense] = "none",
    attacks: Several[Attack] = "none",
    data: Any = "demo",
    out: str | Path | None = None,
    *,
    limit: int = 0,
    seed: int = 0,
    batch: int = 8,
    seconds: float = 0,
    save_audio: bool = False,
    executor: str | Executor = "here",
    device: str = CPU,
    progress: Progress | None = None,
    choose: Choose = "shuffled",
) -> Run:
    """Measure every model behind every defense under every attack.

    A part is a spec, your own object, a list of these, or a mapping from labels to these:
    ``defense={"RS": "rs:snr=15", "mine": Coarse(bits=6)}``.

    Args:
        model: recognizers (docs/recognizers.md says what an object needs).
        defense: defenses (docs/defenses.md).
        attacks: attacks.
        data: corpora. A corpus may also be a Lhotse CutSet or a list of pairs (wave, text). A wave
            is a 1-D tensor or array at 16 kHz, full scale 1.
        out: the run's folder. The same folder continues a run that was stopped. If None, a folder
            that is deleted together with the Run.
        limit: utterances per corpus (0 = all).
        seed: seed of all random draws.
        batch: number of utterances that are attacked together.
        seconds: most audio in a batch, with padding (0 = no limit).
        save_audio: keep clean, adversarial and defended audio (:meth:`melmoat.Run.audio`).
        executor: where the work is done: ``here``, ``processes:workers=2``, ``ray``. Objects need
            ``here``.
        device: device to compute on, such as ``cuda``.
        progress: called as ``progress(done, total, what)``, in utterances.
        choose: which utterances ``limit`` takes: ``shuffled``, so that a larger limit adds to a
            smaller one, or ``spread`` evenly over the corpus.

    Raises:
        MelmoatError: a part is unknown or has the wrong type, or every utterance of a cell failed.

    Warns:
        RunWarning: some utterances failed; ``Run.failures`` has them.
    """
    who = EXECUTORS.build(executor) if isinstance(executor, str) else executor
    home = _Temporary() if out is None else None
    folder = home.path if home else Path(str(out))
    labels = {
        "model": _parts(MODELS, model, _recognizer),
        "defense": _parts(DEFENSES, defense, _defense),
        "attack": _parts(ATTACKS, attacks, _attack),
    }
    _check_objects([spec for specs in labels.values() for spec in specs], who, folder)
    labels["data"] = _corpora(data, folder)
    cells = grid(labels["model"], labels["defense"], labels["attack"], labels["data"], seed)
    runner = Runner(Store(folder), batch, limit, save_audio, seconds, who, device, choose)
    run = measure(runner, cells, of_parts(cells, labels), progress, home)
    try:
        runner.require_whole(cells)
    except StoreError as error:
        if not all(result.rows for result in run.results):
            raise
        warnings.warn(str(error), RunWarning, stacklevel=2)
    return run


def measure(
    runner: Runner,
    cells: Sequence[Cell],
    labels: Mapping[Cell, Labels] | None = None,
    progress: Progress | None = None,
    temporary: object = None,
) -> Run:
    """Run the missing parts of ``cells``. The Run counts the utterances that ``runner`` chose, and
    lists failures (:attr:`Run.failures`).

    Args:
        labels: names of cells and their parts.
        temporary: an object to keep alive as long as the Run.

    Raises:
        StoreError: the folder cannot be used.
        MelmoatError: a part of your own has wrong shapes
            (:func:`melmoat.checking.check_at_first`).
    """
    store, tell = runner.store, progress or silent
    check_at_first(_own(runner, cells))
    chosen = {cell: frozenset(cut.id for cut in runner.cuts(cell)) for cell in cells}
    total, done = sum(map(len, chosen.values())), 0.0
    runner.begin(cells, labels)
    names = store.labels()

    def tick(cell: Cell, amount: float) -> None:
        nonlocal done
        done += amount
        tell(done, total, cell_name(cell, names.get(cell)))

    runner.run(cells, tick)
    store.summarise()
    return Run(store.folder, {cell.key: ids for cell, ids in chosen.items()}, temporary)


def _own(runner: Runner, cells: Sequence[Cell]) -> list[tuple[str, str]]:
    """The recognizer and defense of each system that has something left to measure, where either is
    somebody's own: reading a whole run runs nobody's code."""
    own = [
        cell
        for cell in cells
        if MODELS.parse(cell.model).foreign
        or DEFENSES.parse(cell.defense).foreign
        or is_object(cell.model)
        or is_object(cell.defense)
    ]
    return list(dict.fromkeys((c.model, c.defense) for c in own if runner.missing(c)))


class _Temporary:
    """A temporary folder; it is deleted together with this object."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="melmoat-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _parts(family: Registry[T], parts: Any, check: Callable[[Any], None]) -> dict[str, str]:
    """Labels by spec, empty if there is none; objects become parts of this process."""
    specs: dict[str, str] = {}
    for label, part in _listed(parts):
        if isinstance(part, type):
            name = part.__name__
            raise MelmoatError(f"{family.kind}: {name} is a class; pass an object, {name}(...)")
        if not isinstance(part, str):
            check(part)
        spec = part if isinstance(part, str) else hand(family, part)
        _label(specs, str(family.parse(spec)), label, family.kind)
    if not specs:
        raise MelmoatError(f"no {family.kind} is given")
    return specs


def _corpora(corpora: Any, folder: Path) -> dict[str, str]:
    """The same for corpora; speech from memory is written into the run's folder."""
    specs: dict[str, str] = {}
    for label, corpus in [("", corpora)] if is_speech(corpora) else _listed(corpora):
        spec, name = (
            (corpus, "") if isinstance(corpus, str) else write_corpus(corpus, folder / "data")
        )
        _label(specs, str(CORPORA.parse(spec)), label or name, CORPORA.kind)
    if not specs:
        raise MelmoatError("no corpus is given")
    return specs


def _label(specs: dict[str, str], spec: str, label: str, kind: str) -> None:
    """Note ``spec`` with its label.

    Raises:
        MelmoatError: it has another label already, whose row would be missing without a word.
    """
    known = specs.get(spec, "")
    if known and label and known != label:
        raise MelmoatError(
            f"{kind}: {known!r} and {label!r} are labels of the same part, {spec}; leave one out"
        )
    specs[spec] = label or known


def _listed(parts: Any) -> Iterable[tuple[str, Any]]:
    """The parts one by one, each with its label or an empty text."""
    if isinstance(parts, Mapping):
        return [(str(label), part) for label, part in parts.items()]
    several = isinstance(parts, list | tuple)
    return [("", part) for part in (parts if several else [parts])]


def _check_objects(specs: Iterable[str], executor: Executor, folder: Path) -> None:
    """Check that objects can be used here, and that rows of different objects are not mixed.

    Raises:
        MelmoatError: the executor is not this process; or the folder has rows of an object that may
            be a different one.
    """
    objects = [spec for spec in specs if is_object(spec)]
    if objects and not isinstance(executor, Here):
        raise MelmoatError(
            f"{name_of(objects[0])} is an object, and objects work in this process only: leave "
            "out executor=, or give a spec, python:MODULE:FACTORY"
        )
    unknown = {name_of(spec) for spec in objects if untold(spec)}
    there = {
        name_of(spec)
        for cell in Store(folder).cells()
        for spec in (cell.model, cell.defense, cell.attack)
        if untold(spec)
    }
    if both := sorted(unknown & there):
        raise MelmoatError(
            f"{folder} has rows of an object called {both[0]}, and it is unknown whether this "
            "is the same object: its code is not in a file, or it has values that cannot be "
            "compared. Give another out=, or make it a dataclass in a file"
        )


def _recognizer(model: Any) -> None:
    own_models.check(model)


def _defense(defense: Any) -> None:
    if not callable(getattr(defense, "wrap", None)):
        raise MelmoatError(
            f"a {type(defense).__name__} is not a defense; expected a melmoat.defenses.FrontEnd, "
            "or an object with a method wrap (docs/defenses.md)"
        )


def _attack(attack: Any) -> None:
    if lacks := lacking(attack):
        raise MelmoatError(
            f"a {type(attack).__name__} is not an attack: it has no "
            f"{', '.join(lacks)}; "
            "subclass melmoat.attacks.ThreatModel and write __call__(model, audio, goal, draws)"
        )

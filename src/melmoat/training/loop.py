"""A training loop that can be killed at any moment.

The state is written every few minutes, to a new file that then replaces the old one. The random
numbers of step ``n`` depend only on ``n``, so a resumed run takes the same steps as an
uninterrupted one.
"""

from __future__ import annotations

import json
import math
import pickle
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from melmoat import files
from melmoat.errors import MelmoatError
from melmoat.locks import hold
from melmoat.memory import keep_freed_memory
from melmoat.progress import Progress, silent

LAST = "last.pt"  # a run's state in its folder
PATIENCE = 20  # steps in a row without a finite gradient


class Task(Protocol):
    """A training task."""

    def step(self, number: int) -> dict[str, float]:
        """Take step ``number`` and return numbers to show."""
        ...

    def validate(self) -> dict[str, float]:
        """Scores on held-out data."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything that a resumed run needs: tensors, numbers and strings only."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state`."""
        ...


class Guard:
    """Steps of an optimiser, but none without a finite gradient, which would spoil the weights.

    Attributes:
        skipped: number of steps that were not taken.
    """

    def __init__(self) -> None:
        self.skipped = self._lost = 0  # in all, and of the last steps

    def step(self, optimizer: torch.optim.Optimizer, norm: Tensor) -> bool:
        """Take one step, if the ``norm`` of its gradient is finite; whether it was taken.

        Raises:
            MelmoatError: it was not in the last :data:`PATIENCE` steps.
        """
        if torch.isfinite(norm):
            optimizer.step()
            self._lost = 0
            return True
        self.skipped, self._lost = self.skipped + 1, self._lost + 1
        if self._lost == PATIENCE:
            raise MelmoatError(
                f"no gradient of the last {PATIENCE} steps was finite, so nothing was learnt "
                "from them; give another folder and a lower --lr"
            )
        return False


def check_rate(rate: float) -> None:
    """Refuse a learning rate after which weights are NaN or Inf.

    Raises:
        MelmoatError: it is negative or not finite.
    """
    if not 0 <= rate < math.inf:
        raise MelmoatError(f"lr must be finite and not negative, got {rate}")


def cosine(progress: float, warmup: float = 0.03) -> float:
    """Learning-rate factor at ``progress`` in [0, 1]: linear rise, then half a cosine to zero."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def run(
    task: Task,
    steps: int,
    folder: Path,
    validate_every: int,
    settings: Mapping[str, Any],
    save_seconds: float = 120,
    progress: Progress = silent,
) -> None:
    """Train ``task`` for ``steps`` steps in ``folder``, or continue an earlier run there.

    Writes ``last.pt`` (the state, after complete steps only) and ``log.jsonl`` (one line per
    validation). An interrupted run loses the work since the last save, at most ``save_seconds``.

    ``progress`` is called with the steps that are done, all steps, and the last figures.

    Raises:
        MelmoatError: the folder has a run with other ``settings``, or one that another process
            continues now, or cannot be read or written.
    """
    keep_freed_memory()
    with _alone(folder):
        saved = _saved(folder, settings)
        last, log = folder / LAST, folder / "log.jsonl"
        start, spent = 0, 0.0
        if saved is not None:
            try:
                task.restore(saved["task"])
            except (KeyError, RuntimeError, ValueError) as error:
                raise MelmoatError(
                    f"{last}: the state of another network or of an older melmoat ({error}); "
                    "give another folder"
                ) from error
            start, spent = saved["step"], saved["seconds"]
        _keep_until(log, start)
        began = saved_at = time.monotonic()

        def seconds() -> float:
            return spent + time.monotonic() - began

        progress(start, steps, "train")
        figures: dict[str, float] = {}
        for number in range(start, steps):
            figures.update(task.step(number))
            step = number + 1
            if step % validate_every == 0 or step == steps:
                figures.update(task.validate())
                _note(log, {"step": step, "seconds": seconds(), **figures})
            progress(step, steps, " ".join(f"{k} {v:.4g}" for k, v in figures.items()))
            if step == steps or time.monotonic() - saved_at > save_seconds:
                state = {"task": task.state(), "step": step, "seconds": seconds()}
                with _replacing(last) as partial:
                    torch.save({**state, "settings": _plain(settings)}, partial)
                saved_at = time.monotonic()


def begun(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make ``folder``, and check that a run with these settings can begin or go on there.

    :func:`run` does this first. Call it earlier if the preparation takes long.

    Raises:
        MelmoatError: as :func:`run`.
    """
    with _alone(folder):
        _saved(folder, settings)


def _saved(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """The state in ``folder``, of a run with these settings; None if there is none."""
    if not (folder / LAST).exists():
        return None
    saved, asked = _read(folder / LAST), _plain(settings)
    if saved["settings"] != asked:
        raise MelmoatError(
            f"{folder} holds a run with other settings ({_differing(saved['settings'], asked)}); "
            "give the same ones, or another folder"
        )
    return saved


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make ``folder``, and keep other processes from training there meanwhile."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("ab")
    except OSError as error:
        raise MelmoatError(f"cannot use {folder} for a run: {error}; name another") from error
    busy = f"another process trains in {folder}; let it finish, or give another folder"
    with file:
        hold(file, MelmoatError(busy))
        yield


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are after saving and loading: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


UNREADABLE = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _read(path: Path) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(path) as parts:  # PyTorch does not compare the checksums
            damaged = parts.testzip()
        if damaged is not None:
            raise ValueError(f"{damaged} is damaged")
        saved: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        return {key: saved[key] for key in ("task", "step", "seconds", "settings")}
    except PermissionError as error:
        raise MelmoatError(f"cannot read {path}: {error}") from error
    except UNREADABLE as error:
        raise MelmoatError(
            f"{path}: not the state of a training run, or cut or damaged "
            f"({type(error).__name__}: {error}); delete it to start again"
        ) from error


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """A file to write, which then replaces ``path``. If that fails, the file is removed and
    ``path`` is unchanged."""
    try:
        with files.replacing(path) as partial:
            yield partial
    except (OSError, RuntimeError) as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: Exception) -> MelmoatError:
    return MelmoatError(
        f"cannot write {path}: {error}. The state before it is kept; free some space and run "
        "the same command again"
    )


def _note(log: Path, figures: Mapping[str, float]) -> None:
    try:
        with log.open("a") as file:
            print(json.dumps(figures), file=file)
    except OSError as error:
        raise _unwritable(log, error) from error


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    keys = sorted(k for k in old.keys() | new.keys() if old.get(k) != new.get(k))
    return ", ".join(f"{k}: {old.get(k)} there, {new.get(k)} asked" for k in keys)


def _keep_until(log: Path, step: int) -> None:
    """Drop an incomplete last line, and validations after the resumed state, which are repeated."""
    if not log.exists():
        return
    try:
        text = log.read_text()
        whole, _, _ = text.rpartition("\n")
        lines = [line for line in whole.splitlines() if json.loads(line)["step"] <= step]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MelmoatError(
            f"{log}: not the log of a training run ({error}); move it away: the run needs only the "
            "state beside it"
        ) from error
    content = "".join(f"{line}\n" for line in lines)
    if content != text:
        with _replacing(log) as partial:
            partial.write_text(content)

"""A training loop that can be killed at any moment.

The state is written every few minutes, to a new file that then replaces the old one. A task draws
the randomness of step ``n`` from ``n`` itself, so a resumed run takes the very steps that the
undisturbed one would have taken.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Task(Protocol):
    """What is trained."""

    def step(self, number: int) -> dict[str, float]:
        """Take step ``number`` and return figures to show."""
        ...

    def validate(self) -> dict[str, float]:
        """Figures on held-out data."""
        ...

    def state(self) -> dict[str, Any]:
        """Everything a resumed run needs; tensors, numbers and strings only."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state`."""
        ...


def cosine(progress: float, warmup: float = 0.03) -> float:
    """Learning-rate factor at ``progress`` in [0, 1]: linear rise, then half a cosine to zero."""
    if progress < warmup:
        return progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def run(
    task: Task, steps: int, folder: Path, validate_every: int, save_seconds: float = 120
) -> None:
    """Train ``task`` for ``steps`` steps in ``folder``, going on where an earlier run stopped.

    Writes ``last.pt`` (the state) and ``log.jsonl`` (one line a validation).
    """
    folder.mkdir(parents=True, exist_ok=True)
    last, log = folder / "last.pt", folder / "log.jsonl"
    start, spent = 0, 0.0
    if last.exists():
        saved = torch.load(last, map_location="cpu", weights_only=True)
        task.restore(saved["task"])
        start, spent = saved["step"], saved["seconds"]
    began = saved_at = time.monotonic()

    def save(step: int) -> None:
        seconds = spent + time.monotonic() - began
        partial = last.with_suffix(".tmp")
        torch.save({"task": task.state(), "step": step, "seconds": seconds}, partial)
        partial.replace(last)

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with bar:
        shown = bar.add_task("train", total=steps, completed=start)
        step, figures = start, {}
        try:
            for number in range(start, steps):
                figures.update(task.step(number))
                step = number + 1
                if step % validate_every == 0 or step == steps:
                    figures.update(task.validate())
                    line = {"step": step, "seconds": round(spent + time.monotonic() - began, 1)}
                    with log.open("a") as file:
                        print(json.dumps({**line, **figures}), file=file)
                text = " ".join(f"{k} {v:.4g}" for k, v in figures.items())
                bar.update(shown, completed=step, description=text)
                if time.monotonic() - saved_at > save_seconds:
                    save(step)
                    saved_at = time.monotonic()
        finally:
            save(step)

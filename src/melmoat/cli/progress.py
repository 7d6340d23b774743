"""A progress bar on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


class Advance(Protocol):
    """Moves the bar on."""

    def __call__(self, amount: float, what: str | None = None) -> None:
        """``amount`` of the total is done; ``what`` replaces the bar's text."""
        ...


@contextmanager
def bar(what: str, total: float) -> Iterator[Advance]:
    """A bar of ``total`` units, for the length of a ``with`` block."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(what, total=total or None)

        def advance(amount: float, what: str | None = None) -> None:
            progress.update(task, advance=amount, description=what)

        yield advance

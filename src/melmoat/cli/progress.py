"""Progress on standard error: a bar in a terminal, else a line a minute."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column

from melmoat import progress


class Advance(Protocol):
    """Moves the bar on."""

    def __call__(self, amount: float, what: str | None = None) -> None:
        """``amount`` of the total is done; ``what`` replaces the bar's text."""
        ...


@contextmanager
def bar(what: str, total: float) -> Iterator[Advance]:
    """A bar of ``total`` units, for the length of a ``with`` block."""
    with reported(what) as report:
        done, named = 0.0, what
        report(0, total, what)

        def advance(amount: float, what: str | None = None) -> None:
            nonlocal done, named
            done, named = done + amount, what or named
            report(done, total, named)

        yield advance


@contextmanager
def reported(what: str, console: Console | None = None) -> Iterator[progress.Progress]:
    """A callback that shows how far a piece of work is, for the length of a ``with`` block.

    In a narrow terminal the text is cut, and the times stay.
    """
    shown = console or Console(stderr=True)
    if not shown.is_terminal:
        yield progress.Lines(lambda line: print(f"{what}: {line}", file=sys.stderr, flush=True))
        return
    text = TextColumn("{task.description}", table_column=Column(ratio=1, no_wrap=True))
    columns = (
        text,
        BarColumn(20),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=shown, expand=True) as drawn:
        task = drawn.add_task(what, total=None)

        def report(done: float, total: float, what: str) -> None:
            drawn.update(task, completed=done, total=total or None, description=escape(what))

        yield report

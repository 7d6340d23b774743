"""How a command ends early: an error is one message, Ctrl-C says what is kept, an option that
would be ignored is refused."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from melmoat.errors import MelmoatError

if TYPE_CHECKING:
    from melmoat.decoding import Channel


@contextmanager
def plain_errors() -> Iterator[None]:
    """A user's error is one message and exit code 1; a warning of ours is one line."""
    full = warnings.formatwarning

    def plain(message, category, *where, **line):  # type: ignore[no-untyped-def]  # as typeshed's
        # Of modules that are slow to import.
        ours = category.__name__ in ("AudioWarning", "SplitWarning")
        return f"warning: {message}\n" if ours else full(message, category, *where, **line)

    warnings.formatwarning = plain
    try:
        yield
    except MelmoatError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's own, which is slow to import
            raise
        print(
            f"error: {error} (shorter audio takes less, and so does a smaller --batch)",
            file=sys.stderr,
        )
        sys.exit(1)


def chosen_channel(text: str) -> Channel:
    """What ``--channel`` asks for.

    Raises:
        MelmoatError: it is no channel.
    """
    from melmoat.decoding import channel_of

    try:
        return channel_of(text)
    except ValueError as error:
        raise MelmoatError(f"--{error}") from error


def refuse_idle(context: typer.Context, names: Iterable[str], why: str) -> None:
    """Refuse options, of those that would be ignored, which were typed.

    Raises:
        MelmoatError: ``--name``, of those that were, and ``why``.
    """
    typed = [
        f"--{name.replace('_', '-')}"
        for name in names
        if (source := context.get_parameter_source(name)) and source.name == "COMMANDLINE"
    ]
    if typed:
        raise MelmoatError(f"{' and '.join(typed)} {why}")


@contextmanager
def interruptible(told: str) -> Iterator[None]:
    """Ctrl-C is exit code 130, and says what is kept."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted: {told}", file=sys.stderr)
        sys.exit(130)


def resumable(what: str, out: Path) -> AbstractContextManager[None]:
    """:func:`interruptible`: ``what`` is in ``out``, and the same command goes on."""
    return interruptible(f"{what} in {out}; the same command goes on")


def writing_files(target: Path, single: bool) -> AbstractContextManager[None]:
    """:func:`interruptible`, for a command that writes one file, or several into a folder."""
    kept = "nothing was written" if single else f"finished files are in {target}"
    return interruptible(kept)

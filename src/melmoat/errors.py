"""The base class of errors that a user can cause and fix, and handling of single failed inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches


class MelmoatError(Exception):
    """Wrong input or setting. The message says what was expected, what came, and what to do."""


def one_line(error: BaseException) -> str:
    """An error as one line, with advice if memory ran out."""
    if isinstance(error, MelmoatError):
        return str(error)
    kind = type(error).__name__
    line = f"{kind}: {error}" if str(error) else kind
    if isinstance(error, MemoryError) or kind == "OutOfMemoryError":  # torch's own
        line += " (out of memory: shorter audio takes less, and so does a smaller --batch)"
    return line


def alike(name: str, known: Iterable[str]) -> str:
    """A question after the known name that is nearest to ``name``; empty if none is near.

    >>> alike("pdg", ["cw", "pgd"]), alike("whisper", ["cw", "pgd"])
    (" (did you mean 'pgd'?)", '')
    """
    near = get_close_matches(name, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


@contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Around the imports of an optional package.

    Args:
        name: the extra that brings it.
        what: what needs it.

    Raises:
        MelmoatError: it is not installed; says the pip line.

    >>> with extra("plots", "a figure"):
    ...     import nosuchpackage
    Traceback (most recent call last):
    melmoat.errors.MelmoatError: a figure needs nosuchpackage: pip install "melmoat[plots]"
    """
    try:
        yield
    except ImportError as error:
        package = (error.name or "another package").partition(".")[0]
        if package == "melmoat":
            raise
        raise MelmoatError(f'{what} needs {package}: pip install "melmoat[{name}]"') from error


@contextmanager
def spared(note: Callable[[str], None]) -> Iterator[None]:
    """Pass any error in this block to ``note``, so that one input does not stop the others.

    Ctrl-C still stops everything.

    >>> with spared(print):
    ...     raise MemoryError
    MemoryError (out of memory: shorter audio takes less, and so does a smaller --batch)
    """
    try:
        yield
    except Exception as error:
        note(one_line(error))

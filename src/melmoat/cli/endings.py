"""How a command ends early: an error is one message, Ctrl-C says what is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from melmoat.errors import MelmoatError


@contextmanager
def plain_errors() -> Iterator[None]:
    """A user's error is one message and exit code 1."""
    try:
        yield
    except MelmoatError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def resumable(what: str, out: Path) -> Iterator[None]:
    """Ctrl-C is exit code 130, and says that ``what`` is in ``out``."""
    try:
        yield
    except KeyboardInterrupt:
        print(f"interrupted: {what} in {out}; the same command goes on", file=sys.stderr)
        sys.exit(130)

"""The command line. Each command parses, calls one function, prints."""

from __future__ import annotations

import sys

from melmoat.cli.app import app
from melmoat.errors import MelmoatError


def main() -> None:
    """Run the command line; a user's error is one message and exit code 1."""
    try:
        app()
    except MelmoatError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)

"""The command line. Each command parses, calls one function, prints."""

from __future__ import annotations

from melmoat.cli.app import app
from melmoat.cli.errors import plain_errors


def main() -> None:
    """Run the command line."""
    with plain_errors():
        app()

"""The command line. Each command parses, calls one function, prints."""

from __future__ import annotations

from melmoat.cli.app import app
from melmoat.cli.errors import plain_errors
from melmoat.threads import sleep_soon


def main() -> None:
    """Run the command line."""
    sleep_soon()
    with plain_errors():
        app()

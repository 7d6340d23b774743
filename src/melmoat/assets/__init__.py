"""Files that ship with the package."""

from pathlib import Path

HERE = Path(__file__).parent


def asset(name: str) -> Path:
    """Path of a shipped file or folder; it need not exist."""
    return HERE / name

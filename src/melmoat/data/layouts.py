"""Paths of the files of a corpus."""

from __future__ import annotations

from pathlib import Path


def listings(path: Path) -> tuple[Path, Path]:
    """The possible files with the texts of the corpus at ``path``: as tsv, or as in AN4."""
    return path / "transcripts.tsv", path.parent / "etc" / f"an4_{path.name}.transcription"


def relative(path: str, folder: Path) -> Path | None:
    """A file that a list in ``folder`` names: relative to ``folder``, or else to the current
    folder."""
    if not path:
        return None
    beside = folder / path
    return beside if beside.exists() or not Path(path).exists() else Path(path)

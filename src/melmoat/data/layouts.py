"""Where the files of a corpus lie."""

from __future__ import annotations

from pathlib import Path


def listings(path: Path) -> tuple[Path, Path]:
    """Where the texts of the corpus at ``path`` may stand: as tsv, or as AN4 is published."""
    return path / "transcripts.tsv", path.parent / "etc" / f"an4_{path.name}.transcription"


def relative(path: str, folder: Path) -> Path | None:
    """A file that a list in ``folder`` names: beside it, or else from the current folder."""
    if not path:
        return None
    beside = folder / path
    return beside if beside.exists() or not Path(path).exists() else Path(path)

"""Where a run keeps the audio of its utterances: ``audio/<key>/<id>.<kind>.flac``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

# Ids that are valid file names on every system, also where case does not matter.
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,99}(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # on Windows


KINDS = ("clean", "adversarial", "defended")


def home(run: Path, key: str) -> Path:
    """The folder of one cell's audio in a run's folder."""
    return run / "audio" / key


def stem(utterance: str) -> str:
    """The unique name of an utterance's files, without kind and suffix.

    If an id is not a valid file name on every system, or is too long, it is cut, and ``~`` and a
    digest are added. Other names do not contain ``~``.

    >>> stem("demo-0001"), stem("s1/u1"), stem("s1_u1")
    ('demo-0001', 's1_u1~2c6c321f27666f87', 's1_u1')
    """
    if _PLAIN.fullmatch(utterance) and not _RESERVED.fullmatch(utterance):
        return utterance
    digest = hashlib.sha256(utterance.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return re.sub(r"[^\w-]", "_", utterance)[:40] + "~" + digest


def file(folder: Path, utterance: str, kind: str) -> Path:
    """The path of an utterance's audio of this ``kind`` in the ``folder`` of a cell."""
    return folder / f"{stem(utterance)}.{kind}.flac"


def find(folder: Path, utterance: str, kind: str) -> Path | None:
    """The path of existing audio, or None. Earlier versions named files by the id itself, unless it
    had a slash; these are found too."""
    path = file(folder, utterance, kind)
    if path.is_file():
        return path
    if "/" in utterance or stem(utterance) == utterance or len(utterance) > 200:
        return None
    earlier = f"{utterance}.{kind}.flac"  # compared exactly, also where case does not matter
    there = folder.is_dir() and any(entry.name == earlier for entry in folder.iterdir())
    return folder / earlier if there else None

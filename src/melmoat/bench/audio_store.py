"""Where a run keeps the audio of its utterances: ``audio/<key>/<id>.<kind>.flac``."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

# Ids that are names of files everywhere, also where upper and lower case are one.
_PLAIN = re.compile(r"[a-z0-9_][a-z0-9_.-]{0,99}(?<!\.)")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # on Windows


KINDS = ("clean", "adversarial", "defended")


def home(run: Path, key: str) -> Path:
    """The folder of one cell's audio in a run's folder."""
    return run / "audio" / key


def stem(utterance: str) -> str:
    """The name of an utterance's files, without kind and suffix: another for each id.

    An id that is no name of a file everywhere, or too long for one, is cut, and a digest of it is
    added behind ``~``, which no other name has.

    >>> stem("demo-0001"), stem("s1/u1"), stem("s1_u1")
    ('demo-0001', 's1_u1~2c6c321f27666f87', 's1_u1')
    """
    if _PLAIN.fullmatch(utterance) and not _RESERVED.fullmatch(utterance):
        return utterance
    digest = hashlib.sha256(utterance.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return re.sub(r"[^\w-]", "_", utterance)[:40] + "~" + digest


def file(folder: Path, utterance: str, kind: str) -> Path:
    """Where audio of this ``kind`` is written in the ``folder`` of a cell."""
    return folder / f"{stem(utterance)}.{kind}.flac"


def find(folder: Path, utterance: str, kind: str) -> Path | None:
    """Where it lies, if it does; also as earlier versions called an id with capitals and others
    that had no slash, so that it was a name of its own."""
    path = file(folder, utterance, kind)
    if path.is_file():
        return path
    if "/" in utterance or stem(utterance) == utterance or len(utterance) > 200:
        return None
    earlier = f"{utterance}.{kind}.flac"  # looked for as it is spelled, also where case is nothing
    there = folder.is_dir() and any(one.name == earlier for one in folder.iterdir())
    return folder / earlier if there else None

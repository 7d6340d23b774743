"""Corpora in a folder: audio files with their texts beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lhotse import CutSet

from melmoat.data.entries import CorpusError, Entry, cuts_of
from melmoat.data.folders import FolderContents, find
from melmoat.facts import Origin, rests_on

TEXTS = (".txt", ".lab")  # suffixes of a text file; the first existing one is used


def origin(args: Mapping[str, Any]) -> Origin:
    """The dependencies of such a corpus: a digest of its files' names and texts."""
    path: Path = args["path"]
    digest = hashlib.sha256()
    for file in (find(path) if path.is_dir() else FolderContents()).files:
        entry = _entry(file, path)
        digest.update(repr((file.relative_to(path).as_posix(), entry.text)).encode())
    return Origin(also=digest.hexdigest()[:16], instead="path")


@rests_on(origin)
def folder(path: Path, shortest: float = 0.0, longest: float = 0.0, channel: str = "mix") -> CutSet:
    """A folder of audio files with a text beside each: ``a.wav``, ``a.txt`` (or ``.lab``).

    Subfolders are read too. An utterance is named after its file, without the suffix. Speakers are
    unknown. Audio without a text is reported as unusable. Other options are as for tsv.
    """
    if not path.is_dir():
        raise CorpusError(f"{path}: no such folder")
    contents = find(path)
    if not contents.files:
        raise CorpusError(f"{path}: no audio files in it")
    entries = [_entry(file, path) for file in contents.files]
    entries += [
        Entry(_name(file, path), "", None, _place(file, path), fault=why)
        for file, why in contents.failed.items()
    ]
    if all(entry.fault for entry in entries):
        raise CorpusError(
            f"{path}: no texts beside its {len(contents.files)} audio files; expected a.txt beside "
            "a.wav (melmoat transcribe needs none)"
        )
    return cuts_of(entries, path, None, shortest, longest, channel)


def _entry(file: Path, home: Path) -> Entry:
    name, where = _name(file, home), _place(file, home)
    for text in (file.with_suffix(suffix) for suffix in TEXTS):
        if text.is_file():
            try:
                return Entry(name, text.read_text(encoding="utf-8-sig"), file, where)
            except (OSError, UnicodeDecodeError) as error:
                fault = f"{text} is not UTF-8 text ({error})"
                return Entry(name, "", None, where, fault=fault)
    beside = " or ".join(file.with_suffix(suffix).name for suffix in TEXTS)
    return Entry(name, "", None, where, fault=f"no text beside it ({beside})")


def _name(file: Path, home: Path) -> str:
    return file.relative_to(home).with_suffix("").as_posix()


def _place(file: Path, home: Path) -> str:
    return file.relative_to(home).as_posix()

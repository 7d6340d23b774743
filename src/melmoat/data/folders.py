"""The audio files of a folder: each file is audio, skipped with a reason, or an error."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from melmoat.decoding import SUFFIXES, AudioError, probe
from melmoat.decoding.engines import Unreadable

MOST = 20  # most skipped files that are named


@dataclass
class FolderContents:
    """The contents of a folder.

    A file is audio by its suffix, or without a suffix by its contents. Links are followed, also to
    folders, except links back to a folder that contains them. Hidden files and folders (a leading
    dot) are skipped.

    Args:
        files: audio files, sorted; they may still be unreadable.
        passed: skipped files, with reasons.
        failed: errors, with reasons: dead links, folders that cannot be opened.
    """

    files: list[Path] = field(default_factory=list)
    passed: dict[Path, str] = field(default_factory=dict)
    failed: dict[Path, str] = field(default_factory=dict)


def find(source: Path) -> FolderContents:
    """The audio files in a folder and its subfolders; any other path is returned itself."""
    contents = FolderContents()
    if source.is_dir():
        _walk(source, (), contents)
        contents.files.sort()
    elif source.exists():
        contents.files.append(source)
    else:
        contents.failed[source] = "a dead link" if source.is_symlink() else "no such file or folder"
    return contents


def _walk(folder: Path, above: tuple[Path, ...], contents: FolderContents) -> None:
    try:
        paths = sorted(folder.iterdir())
        here = (*above, folder.resolve())
    except OSError as error:
        contents.failed[folder] = f"cannot be opened ({error.strerror or error})"
        return
    for path in paths:
        try:
            _sort(path, here, contents)
        except OSError as error:
            contents.failed[path] = f"cannot be read ({error.strerror or error})"


def _sort(path: Path, here: tuple[Path, ...], contents: FolderContents) -> None:
    """Sort ``path`` into one of the lists; a folder with all its contents."""
    audio = path.suffix.lower() in SUFFIXES
    if path.name.startswith("."):
        contents.passed[path] = "hidden"
    elif path.is_dir():
        if path.resolve() in here:
            contents.passed[path] = "a link back to a folder that it lies in"
        else:
            _walk(path, here, contents)
    elif path.is_symlink() and not path.exists():
        kind = contents.failed if audio or not path.suffix else contents.passed
        kind[path] = f"a dead link to {path.readlink()}"
    elif not path.is_file():
        contents.passed[path] = "no regular file"
    elif audio:
        contents.files.append(path)
    elif path.suffix:
        contents.passed[path] = "no audio by its suffix"
    elif _sounds(path):
        contents.files.append(path)
    else:
        contents.passed[path] = "no suffix, and no audio in it"


def _sounds(path: Path) -> bool:
    """Whether a file without a suffix is audio, even if damaged."""
    try:
        probe(path, str(path))
    except AudioError as error:
        return not isinstance(error.__cause__, Unreadable)
    return True


def utf8(path: Path | str) -> str:
    """A path as valid text, for any bytes in its name."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def shown(path: Path | str) -> str:
    """A path as valid text on one line."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode() for c in utf8(path)
    )


def passed_over(folders: Sequence[FolderContents]) -> list[str]:
    """A message about the skipped files, in lines: their number, and the first ones by name."""
    lines = [
        f"{shown(path)}: {why}" for contents in folders for path, why in contents.passed.items()
    ]
    if not lines:
        return []
    more = ["..."] if len(lines) > MOST else []
    return [f"passed over, {len(lines)} in all:", *(f"  {line}" for line in lines[:MOST]), *more]

"""Detects the true kind of a weights file, independent of its name, names the cache folder,
replaces files in one step, and digests them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ARCHIVES = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"7z\xbc\xaf": "7-Zip",
    b"Rar!": "RAR",
}
PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head")
ZIP = b"PK\x03\x04"


def cache() -> Path:
    """The folder for what can be had again: MELMOAT_CACHE, or ``melmoat`` in the user's cache."""
    if own := os.environ.get("MELMOAT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "melmoat"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden file to write, which then takes the place of ``path``.

    If writing fails, it is removed, and what was at ``path`` is still there. A reader sees the old
    file or the new one, never a part.
    """
    partial = path.with_name(f".{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        yield partial
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def obstacle(path: Path) -> str | None:
    """Why no weights can be read from ``path``, and what to do; None if no reason is known.

    It detects files that were not downloaded, or only in part, and files of other tools.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "it is empty; fetch it again"
    if head.startswith(b"version https://git-lfs"):
        return (
            "it is a git-lfs pointer, which only names the file; run `git lfs pull` in its "
            "repository, or download the file itself"
        )
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(PAGES):
        return (
            "it is a web page, such as a site sends for a wrong link or before a login; download "
            "the file itself (the link `raw` or `resolve`, not the page that shows the file)"
        )
    for magic, name in ARCHIVES.items():
        if head.startswith(magic):
            return f"it is a {name} archive; unpack it and give the file inside"
    if head.startswith((b"GGUF", b"lmgg", b"ggml")):
        return (
            "it is a GGML file of whisper.cpp or llama.cpp, which is not read here; take the model "
            "that it was converted from"
        )
    if head.startswith(ZIP):
        return _of_zip(path)
    if is_safetensors(path):
        return _cut_safetensors(path)
    return None


def _of_zip(path: Path) -> str | None:
    if not zipfile.is_zipfile(path):
        return (
            f"it is cut short: a zip, as PyTorch writes, whose end is missing after "
            f"{path.stat().st_size:,} bytes; fetch it again"
        )
    if not is_torch(path):
        return "it is a zip archive but no PyTorch checkpoint; unpack it and give the file inside"
    return None


def is_torch(path: Path) -> bool:
    """Whether ``path`` begins as ``torch.save`` writes: a zip with a pickle in it, or a pickle."""
    with path.open("rb") as file:
        head = file.read(12)
    if head.startswith(ZIP) and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    return head[:1] == b"\x80" and head[2:] == b"\x8a\nl\xfc\x9cF\xf9 j\xa8"


def is_safetensors(path: Path) -> bool:
    """Whether ``path`` begins as safetensors: a length, then a JSON object."""
    with path.open("rb") as file:
        head = file.read(9)
    size = int.from_bytes(head[:8], "little")
    return head[8:] == b"{" and 2 <= size < 100_000_000


def _cut_safetensors(path: Path) -> str | None:
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size)
    have = path.stat().st_size
    try:
        tensors = json.loads(header)
        ends = [t["data_offsets"][1] for k, t in tensors.items() if k != "__metadata__"]
        need = 8 + size + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        need = 8 + size if have < 8 + size else have
    if have < need:
        return (
            f"it is cut short: safetensors of {need:,} bytes, of which {have:,} are there; "
            "fetch it again"
        )
    return None

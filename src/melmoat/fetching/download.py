"""One file over HTTP: resumed where it stopped, and never taken for whole if it is not.

What has come lies in ``FILE.part``, with the server's mark of that version (ETag) beside it. It is
continued only if the parts can be told to be of one file: by that mark, or by a known hash.
"""

from __future__ import annotations

import shutil
import ssl
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from melmoat import __version__
from melmoat.errors import MelmoatError
from melmoat.fetching.catalogue import Source
from melmoat.files import digest
from melmoat.progress import Progress, silent

BLOCK = 1 << 20
TIMEOUT = 60.0  # seconds without an answer
SPARE = 64 << 20  # bytes of a disk that are left free


class FetchError(MelmoatError):
    """A download that did not succeed."""


class _CutError(Exception):
    """The connection ended before the file did."""


BROKEN = (_CutError, HTTPException, TimeoutError, ConnectionError, ssl.SSLError)


def download(
    url: str,
    path: Path,
    sha256: str | None = None,
    unpacked: bool = False,
    progress: Progress = silent,
) -> None:
    """Download ``url`` to ``path``, or go on with ``path.part``.

    A connection that breaks is opened again as long as each one brings something.

    Args:
        sha256: the hash of the whole file, if it is known. It is not checked here.
        unpacked: whether the file will be unpacked beside itself, which takes as much space again.

    Raises:
        FetchError: no network, an answer that is no file, or too little space.
    """
    part = path.with_name(f"{path.name}.part")
    while True:
        before = _size(part)
        try:
            _go_on(url, part, sha256, unpacked, progress)
        except BROKEN as error:
            if _size(part) > before:
                continue
            raise FetchError(
                f"{urlsplit(url).hostname} broke off after {_size(part):,} bytes of {path.name} "
                f"({error}); the same command goes on from there"
            ) from error
        except HTTPError as error:
            raise FetchError(
                f"{url}: {error.code} {error.reason}; it may have moved, or ask for a login. "
                + by_hand(url, path)
            ) from error
        except URLError as error:
            raise FetchError(
                f"{urlsplit(url).hostname} cannot be reached ({error.reason}): is there a network? "
                + by_hand(url, path)
            ) from error
        break
    part.replace(path)
    _mark(part).unlink(missing_ok=True)


def by_hand(url: str, path: Path) -> str:
    """How to do without this machine's network."""
    return f"Or download {url} elsewhere, put it at {path}, and run the same command"


def _go_on(url: str, part: Path, sha256: str | None, unpacked: bool, progress: Progress) -> None:
    """One connection: append to ``part`` until the end of the file."""
    have, mark = _size(part), _read(_mark(part))
    if have and not (mark or sha256):
        have = 0
    headers = {"User-Agent": f"melmoat/{__version__}", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if mark:
            headers["If-Range"] = mark
    try:
        answer: HTTPResponse = urlopen(Request(url, headers=headers), timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416 or not have:
            raise
        if error.headers.get("Content-Range") == f"bytes */{have}":
            return  # it was whole already
        part.unlink()  # of another version
        _go_on(url, part, sha256, unpacked, progress)
        return
    with answer:
        if "text/html" in answer.headers.get("Content-Type", ""):
            raise FetchError(
                f"{url} answered with a web page and no file, such as a limit of downloads or a "
                "login. " + by_hand(url, part.with_suffix(""))
            )
        if answer.status != 206:
            have = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise FetchError(
                f"{url}: asked for bytes from {have}, got another part; {part} is kept"
            )
        left = answer.headers.get("Content-Length")
        if left is None and not answer.chunked and sha256 is None:
            raise FetchError(
                f"{url}: the server does not say how long the file is, so nothing would show "
                "whether all of it came. " + by_hand(url, part.with_suffix(""))
            )
        total = None if left is None else have + int(left)
        _need_room(part, int(left or 0) + unpacked * (total or 0))
        mark = answer.headers.get("ETag", "")
        _mark(part).write_text("" if mark.startswith("W/") else mark, encoding="ascii")
        with part.open("ab" if have else "wb") as file:
            while block := answer.read1(BLOCK):
                file.write(block)
                have += len(block)
                progress(have / 1e6, (total or 0) / 1e6, f"MB of {part.stem}")
    if total is not None and have < total:
        raise _CutError(f"of {total:,}")


def within(source: Source, path: Path) -> str:
    """The SHA-256 of a download, which must be the known one.

    Raises:
        FetchError: it is another, or the file is shorter than its weights.
    """
    got, size = digest(path), path.stat().st_size
    if source.sha256 is None and size < source.size:
        raise FetchError(
            f"{source.name}: {source.file} has {size:,} bytes and must have at least "
            f"{source.size:,}: it is broken or another file, and was deleted ({source.page})"
        )
    if source.sha256 not in (None, got):
        raise FetchError(
            f"{source.name}: the SHA-256 of {source.file} is {got}, and {source.sha256} is "
            "published: it was broken on its way, or it is another file, and was deleted. Run the "
            f"same command again ({source.page})"
        )
    return got


def _need_room(part: Path, need: int) -> None:
    free = shutil.disk_usage(part.parent).free - SPARE
    if free < need:
        raise FetchError(
            f"{part.parent}: {_amount(need)} are needed and {_amount(free)} are free; free some "
            "space, or give another folder by --to"
        )


def _amount(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size > 1e8 else f"{max(size, 0) / 1e3:.0f} kB"


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.etag")


def _read(path: Path) -> str:
    return path.read_text(encoding="ascii") if path.is_file() else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0

"""Downloads of freely available corpora and weights, by name, into a cache folder."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from melmoat import files
from melmoat.errors import alike
from melmoat.fetching.catalogue import CATALOGUE, GROUPS, PAPER, Source
from melmoat.fetching.download import FetchError, download, within
from melmoat.fetching.unpacking import unpack
from melmoat.locks import hold
from melmoat.progress import Progress, silent


def chosen(names: Iterable[str]) -> list[Source]:
    """The sources of these names; ``paper`` and ``lyra`` stand for several.

    Raises:
        FetchError: an unknown name; the message lists the known ones.
    """
    known = [*CATALOGUE, *GROUPS]
    found: dict[str, Source] = {}
    for name in names:
        if name not in known:
            near = alike(name, known)
            raise FetchError(f"nothing is called {name!r}; known: {', '.join(known)}{near}")
        for one in GROUPS.get(name, [name]):
            found[one] = CATALOGUE[one]
    return list(found.values())


def located(source: Source, home: Path) -> Path | None:
    """What a spec names of ``source`` in the folder ``home``; None if it is not there.

    Raises:
        FetchError: several files could be meant.
    """
    place = home / source.place
    if not source.names:
        return place if place.exists() else None
    matching = sorted(place.glob(source.names))
    if len(matching) > 1:
        raise FetchError(
            f"{place} has several files {source.names}: {', '.join(x.name for x in matching)}; "
            "leave the one that is meant"
        )
    return matching[0] if matching else None


def where(name: str, home: Path | None = None) -> Path:
    """The file or folder of a fetched source, for a spec.

    Args:
        name: a name of the catalogue.
        home: the cache folder; None for the one of this user (:func:`melmoat.files.cache`).

    Raises:
        FetchError: an unknown name, or it is not there; the message says the command that fetches
            it.
    """
    home = home or files.cache()
    (source,) = chosen([name])
    found = located(source, home)
    if found is None:
        raise FetchError(
            f"{name} is not in {home}: fetch it by `melmoat fetch {name}`, or name the folder that "
            "has it in the environment variable MELMOAT_CACHE"
        )
    return found


def fetch(source: Source, home: Path, progress: Progress = silent) -> str:
    """Download ``source`` into the folder ``home``, check it and unpack it.

    What is there already is left alone. A download that was stopped goes on. What came is recorded
    in ``home/fetched/NAME.json``: the address, the size in bytes, the SHA-256, and whether that was
    compared with a published one.

    Args:
        progress: is called with the bytes that are there, and all.

    Returns: one line that says what was done.

    Raises:
        MelmoatError: no network, no space, a broken file, or an unsafe archive; the message says
            what to do.
    """
    if (found := located(source, home)) is not None:
        return f"{source.name}: there already, {found}"
    waiting = home / "downloads"
    archive = waiting / source.file
    with _writing(home), _alone(source, waiting):
        if (found := located(source, home)) is not None:  # by another process
            return f"{source.name}: there already, {found}"
        if not archive.is_file():
            download(source.url, archive, source.sha256, source.archived, progress)
        try:
            got = within(source, archive)
        except FetchError:
            archive.unlink()
            raise
        size = archive.stat().st_size
        settled = _settle(source, archive, home)
        record = home / "fetched" / f"{source.name}.json"
        record.parent.mkdir(exist_ok=True)
        checked = source.sha256 is not None and source.published
        about = {"url": source.url, "bytes": size, "sha256": got, "compared": checked}
        record.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    if checked:
        said = "its SHA-256 is the published one"
    elif source.sha256 is not None:
        said = "it is the file that melmoat was tested with (SHA-256; none is published)"
    else:
        said = f"no published hash is known to compare with; its SHA-256 is {got}"
    return f"{source.name}: {settled}; {said}"


def _settle(source: Source, archive: Path, home: Path) -> Path:
    """Move what ``archive`` is, or has in it, to its place."""
    place = home / source.place
    place.parent.mkdir(parents=True, exist_ok=True)
    if not source.archived:
        archive.replace(place)
    else:
        unpacked = home / "downloads" / f"{source.name}.unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        try:
            unpack(archive, unpacked)
            _inside(source, unpacked).replace(place)  # whole, or not at all
        finally:
            shutil.rmtree(unpacked, ignore_errors=True)
        archive.unlink()
    found = located(source, home)
    assert found is not None
    return found


def _inside(source: Source, unpacked: Path) -> Path:
    """The folder in an unpacked archive that holds what is wanted."""
    wanted = source.names or Path(source.place).name
    matching = sorted(unpacked.rglob(wanted))
    if len(matching) != 1:
        raise FetchError(
            f"{source.name}: expected one {wanted} in {source.file}, found {len(matching)}; its "
            f"publisher may have changed it ({source.page})"
        )
    return matching[0].parent if source.names else matching[0]


@contextmanager
def _alone(source: Source, waiting: Path) -> Iterator[None]:
    """Keep other processes from the parts of this download: both would append to them."""
    busy = FetchError(f"another process fetches {source.name} into {waiting}; let it finish")
    waiting.mkdir(parents=True, exist_ok=True)
    lock = waiting / f".{source.name}.lock"
    with lock.open("ab") as file:
        hold(file, busy)
        if not lock.exists() or not os.path.samestat(lock.stat(), os.fstat(file.fileno())):
            raise busy  # it ended meanwhile, and took the file away
        try:
            yield
        finally:
            lock.unlink()


@contextmanager
def _writing(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FetchError(
            f"cannot write in {home}: {error.strerror or error}; free some space, or give another "
            "folder by --to or by the environment variable MELMOAT_CACHE"
        ) from error


__all__ = [
    "CATALOGUE",
    "GROUPS",
    "PAPER",
    "FetchError",
    "Source",
    "chosen",
    "fetch",
    "located",
    "where",
]

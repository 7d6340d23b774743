"""Corpora in a table: one row per utterance, with columns for its id, text and file."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

from lhotse import CutSet

from melmoat.data.entries import CorpusError, Entry, cuts_of
from melmoat.data.layouts import listings, relative

COLUMNS = ("id", "text", "path")  # of transcripts.tsv; speaker is optional
CLIPS = ("client_id", "path", "sentence")  # of Common Voice
STARTS = ("start", "offset")  # columns that make an utterance a part of its file
# Columns that seem to do this too. If they were ignored, the whole file would be read.
_PART = re.compile(
    r"((seg|segment|clip|audio|utt|utterance)[_ .-])?(start|begin|beg|offset|onset|end|stop)(ing)?"
    r"([_ .-].*)?",
    re.IGNORECASE,
)
MORE = "\0"  # key of the fields after the last column
Row = Mapping[str, str]


def tsv(
    path: Path,
    speakers: str | None = None,
    shortest: float = 0.0,
    longest: float = 0.0,
    channel: str = "mix",
) -> CutSet:
    """A folder with ``transcripts.tsv``: id, text, path and, if known, speaker.

    ``path`` may also be the file itself. Tabs separate the columns, and paths are relative to the
    folder. Columns ``start`` and ``end`` (or ``duration``), in seconds, make an utterance a part of
    its file. Other columns are ignored. The texts of cuts are in upper case, without punctuation
    and Latin accents; :func:`written` returns the original texts. ``speakers`` selects speakers,
    with ``+`` between them. ``shortest`` and ``longest`` limit an utterance's seconds (0 = no
    limit). ``channel`` is ``mix``, the mean of all channels, or a number from 0.
    """
    table = listings(path)[0] if path.is_dir() else path
    if not table.is_file():
        raise CorpusError(f"{table}: no such file; expected a folder with transcripts.tsv")
    entries = [
        Entry(
            row["id"],
            row["text"],
            table.parent / row["path"] if row["path"] else None,
            where,
            row.get("speaker", ""),
            *bounds(row, table, where),
        )
        for where, row in _rows(table, "\t", csv.QUOTE_NONE, COLUMNS)
    ]
    return cuts_of(entries, table, speakers, shortest, longest, channel)


def comma(
    path: Path,
    file: str = "path",
    text: str = "text",
    id: str = "id",
    speaker: str = "speaker",
    speakers: str | None = None,
    shortest: float = 0.0,
    longest: float = 0.0,
    channel: str = "mix",
) -> CutSet:
    """A CSV file with a header (commas, semicolons or tabs).

    Quotes are as in spreadsheets. ``file``, ``text``, ``id`` and ``speaker`` name its columns. Ids
    and speakers are optional unless their columns are named: without an id, an utterance is named
    after its file. Other options are as for tsv.
    """
    try:
        with path.open(encoding="utf-8-sig") as opened:
            header = opened.readline()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not a table of UTF-8 text ({error})") from error
    delimiter = max(",;\t", key=header.count)
    # A column that is asked for by name has to be there, or all speakers would be unknown.
    named = [name for name, usual in ((id, "id"), (speaker, "speaker")) if name != usual]
    hint = "; name them by the options file=, text=, id= and speaker="
    rows = list(_rows(path, delimiter, csv.QUOTE_MINIMAL, (file, text, *named), hint))
    places = [relative(row[file], path.parent) for _, row in rows]
    parts = [bounds(row, path, where) for where, row in rows]
    made = called(places, parts)
    entries = [
        Entry(row.get(id, name), row[text], place, where, row.get(speaker, ""), *part)
        for (where, row), place, part, name in zip(rows, places, parts, made, strict=True)
    ]
    return cuts_of(entries, path, speakers, shortest, longest, channel)


def commonvoice(
    path: Path,
    speakers: str | None = None,
    shortest: float = 0.0,
    longest: float = 0.0,
    channel: str = "mix",
) -> CutSet:
    """One part of Common Voice as published, such as ``cv-corpus/en/test.tsv``.

    The options are those of tsv. The clips are in the folder ``clips`` beside it. A speaker is a
    ``client_id``.
    """
    if not path.is_file():
        beside = sorted((path if path.is_dir() else path.parent).glob("*.tsv"))
        there = ", ".join(str(table) for table in beside) or "no .tsv file is there"
        raise CorpusError(f"{path}: no such file; name a part, such as test.tsv ({there})")
    entries = []
    for where, row in _rows(path, "\t", csv.QUOTE_NONE, CLIPS):
        clip = path.parent / "clips" / row["path"]
        if not clip.suffix:  # as in the first releases
            clip = clip.with_name(f"{clip.name}.mp3")
        name = Path(row["path"]).stem
        entries.append(
            Entry(name, row["sentence"], clip if name else None, where, row["client_id"])
        )
    return cuts_of(entries, path, speakers, shortest, longest, channel)


def called(paths: list[Path | None], parts: list[tuple[float, float | None]]) -> list[str]:
    """Ids for utterances without one: the file's path below the common folder, without suffix, and
    the part. They do not depend on where that folder is."""
    known = [path.absolute() for path in paths if path is not None]
    depth = 0
    if known:
        together = zip(*(path.parent.parts for path in known), strict=False)
        depth = next(
            (i for i, step in enumerate(together) if len(set(step)) > 1),
            min(len(path.parent.parts) for path in known),
        )
    ids = []
    for path, (start, seconds) in zip(paths, parts, strict=True):
        name = "" if path is None else "/".join(path.absolute().with_suffix("").parts[depth:])
        if start:
            name += f"@{start:.3f}" if seconds is None else f"@{start:.3f}+{seconds:.3f}"
        ids.append(name)
    return ids


def bounds(row: Row, table: Path, where: str) -> tuple[float, float | None]:
    """Start and duration of a row's part of its file, in seconds; the whole file by default."""
    refuse_parts(row, (*STARTS, "end"), "start or end", table)
    if not any(column in row for column in (*STARTS, "end")):
        return 0.0, None
    start = next((row[column] for column in STARTS if row.get(column)), "0")
    begin = number(start, "start", table, where)
    if row.get("end"):
        return begin, number(row["end"], "end", table, where) - begin
    if row.get("duration"):
        return begin, number(row["duration"], "duration", table, where)
    return begin, None


def refuse_parts(names: Iterable[str], known: Collection[str], wanted: str, table: Path) -> None:
    """Refuse unknown columns that seem to describe a part of a file.

    Raises:
        CorpusError: there is one; ``wanted`` is the correct name.
    """
    odd = [name for name in names if name and _PART.fullmatch(name) and name not in known]
    if odd:
        raise CorpusError(
            f"{table}: column {odd[0]!r} looks like a part of a file; name it {wanted}, in "
            "seconds, or leave it out"
        )


def number(value: object, name: str, table: Path, where: str) -> float:
    """``value`` in seconds.

    Raises:
        CorpusError: it is not a number.
    """
    try:
        seconds = float(value)  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, ValueError):
        seconds = math.nan
    if not math.isfinite(seconds):
        raise CorpusError(f"{table}, {where}: {name} must be a number of seconds; got {value!r}")
    return seconds


def _rows(
    table: Path, delimiter: str, quoting: Literal[0, 3], needed: tuple[str, ...], hint: str = ""
) -> Iterator[tuple[str, Row]]:
    """Rows and their places.

    Args:
        hint: what to do where a needed column is missing.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(
                file,
                restkey=MORE,
                restval="",
                delimiter=delimiter,
                quoting=quoting,
                strict=True,
            )
            rows = [(f"line {reader.line_num}", row) for row in reader]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise CorpusError(
            f"{table}: not a table of {'tabs' if delimiter == chr(9) else repr(delimiter)} and "
            f"UTF-8 text ({error})"
        ) from error
    columns = list(reader.fieldnames or [])
    if not rows:
        raise CorpusError(f"{table}: no utterances in it")
    missing = [c for c in needed if c not in columns]
    if missing:
        raise CorpusError(f"{table}: columns {missing} are missing; it has {columns}{hint}")
    doubled = sorted({c for c in columns if c and columns.count(c) > 1})
    if doubled:
        raise CorpusError(f"{table}: columns {doubled} are there twice")
    for where, row in rows:
        if any(map(str.strip, row.pop(MORE, []))):
            raise CorpusError(
                f"{table}, {where}: more fields than the {len(columns)} columns; is a "
                f"{delimiter!r} in a text?"
            )
        yield where, row

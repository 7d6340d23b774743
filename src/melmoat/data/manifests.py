"""Corpora in the formats of other toolkits: manifests of NeMo, cuts of Lhotse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lhotse import CutSet, MonoCut
from lhotse.serialization import load_manifest

from melmoat.data.entries import CorpusError, Entry, cuts_of
from melmoat.data.layouts import relative
from melmoat.data.tables import called, number, refuse_parts


def manifest(
    path: Path,
    speakers: str | None = None,
    shortest: float = 0.0,
    longest: float = 0.0,
    channel: str = "mix",
) -> CutSet:
    """A NeMo manifest: each line is a JSON object with ``audio_filepath`` and ``text``.

    ``offset`` and ``duration``, in seconds, select a part of the file. ``id`` and ``speaker`` are
    optional. Paths are relative to the manifest, or to the current folder. Without an id, an
    utterance is named after its file and part. Other options are as for tsv.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: not a file of UTF-8 text ({error})") from error
    numbered = [(f"line {i}", line) for i, line in enumerate(lines, 1) if line.strip()]
    objects = [_object(line, path, where) for where, line in numbered]
    parts: list[tuple[float, float | None]] = []
    for (where, _), entry in zip(numbered, objects, strict=True):
        refuse_parts(entry, ("offset",), "offset and duration", path)
        start = number(entry.get("offset") or 0, "offset", path, where)
        duration = entry.get("duration")
        seconds = None if duration is None else number(duration, "duration", path, where)
        parts.append((start, seconds))
    places = [relative(entry["audio_filepath"], path.parent) for entry in objects]
    entries = [
        Entry(
            _text(entry, "id", name),
            entry["text"],
            place,
            where,
            _text(entry, "speaker", ""),
            *part,
        )
        for (where, _), entry, place, part, name in zip(
            numbered, objects, places, parts, called(places, parts), strict=True
        )
    ]
    return cuts_of(entries, path, speakers, shortest, longest, channel)


def _text(entry: dict[str, Any], key: str, otherwise: str) -> str:
    value = entry.get(key)
    return otherwise if value is None else str(value)


def _object(line: str, path: Path, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{path}, {where}: not JSON ({error})") from error
    if not isinstance(value, dict):
        raise CorpusError(f"{path}, {where}: not a JSON object")
    odd = [key for key in ("audio_filepath", "text") if not isinstance(value.get(key), str)]
    if odd:
        raise CorpusError(f"{path}, {where}: no text under {odd}; it has {sorted(value)}")
    return value


def lhotse(
    path: Path, speakers: str | None = None, shortest: float = 0.0, longest: float = 0.0
) -> CutSet:
    """Lhotse cuts, such as ``cuts.jsonl.gz``.

    Each cut names its part and channel of a recording. Paths are relative to the file, or to the
    current folder. Cuts that are mixed, padded, without a text or with several texts are reported
    as unusable. Other options are as for tsv.
    """
    try:
        cuts = load_manifest(path)
    except Exception as error:  # a reader of many formats may raise anything
        raise CorpusError(f"{path}: not cuts of Lhotse ({error})") from error
    if not isinstance(cuts, CutSet):
        raise CorpusError(f"{path}: {type(cuts).__name__}, where cuts of Lhotse are expected")
    return cuts_of(entries_of(cuts, path), path, speakers, shortest, longest)


def entries_of(cuts: CutSet, path: Path) -> list[Entry]:
    """Entries from the cuts of Lhotse in the file ``path``."""
    return [_entry(cut, f"cut {i}", path) for i, cut in enumerate(cuts, 1)]


def _entry(cut: Any, where: str, path: Path) -> Entry:
    supervision = cut.supervisions[0] if len(cut.supervisions) == 1 else None
    text, speaker = (
        ((supervision.text or ""), (supervision.speaker or "")) if supervision else ("", "")
    )
    if reason := _odd(cut):
        return Entry(cut.id, text, None, where, speaker, fault=reason)
    (source,) = [
        source_of_channel
        for source_of_channel in cut.recording.sources
        if cut.channel in source_of_channel.channels
    ]
    return Entry(
        cut.id,
        text,
        relative(source.source, path.parent),
        where,
        speaker,
        cut.start,
        cut.duration,
        source.channels.index(cut.channel) if len(source.channels) > 1 else "mix",
    )


def _odd(cut: Any) -> str:
    """The reason if the sound of a cut is not a part of one file; otherwise empty."""
    if not isinstance(cut, MonoCut):
        return f"a {type(cut).__name__}; only cuts of one recording and one channel are read"
    if len(cut.supervisions) != 1:
        return (
            f"{len(cut.supervisions)} supervisions, where one is expected "
            "(lhotse cut trim-to-supervisions makes a cut of each)"
        )
    if cut.supervisions[0].text is None:
        return "no text"
    if cut.recording is None:
        return "features only, no recording"
    if cut.recording.transforms:
        return "its recording has transforms; save it as a file first"
    sources = [source for source in cut.recording.sources if cut.channel in source.channels]
    if len(sources) != 1 or sources[0].type != "file":
        return "its recording is not a file"
    return ""

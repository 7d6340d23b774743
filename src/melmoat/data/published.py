"""Corpora in their published form."""

from __future__ import annotations

import re
from pathlib import Path

from lhotse import CutSet

from melmoat.assets import asset
from melmoat.data.entries import CorpusError, Entry, cuts_of
from melmoat.data.layouts import listings
from melmoat.data.tables import tsv
from melmoat.facts import Origin, rests_on

# A text of AN4, with or without marks of a sentence, then the utterance's id.
_AN4 = re.compile(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)\s*$")


def an4(
    path: Path,
    speakers: str | None = None,
    shortest: float = 0.0,
    longest: float = 0.0,
    channel: str = "mix",
) -> CutSet:
    """AN4 as published: ``an4/train`` or ``an4/test``; or a folder as for tsv.

    The published folder is in ``an4_sphere.tar.gz`` of Carnegie Mellon University, and contains
    ``etc`` and ``wav``. Utterances are ordered by speaker and id, as in a folder with
    transcripts.tsv.
    """
    _, table = listings(path)
    etc = table.parent
    if path.exists():
        return tsv(path, speakers, shortest, longest, channel)
    if not etc.is_dir():
        raise CorpusError(
            f"{path}: no such folder; unpack an4_sphere.tar.gz of Carnegie Mellon University "
            "there, or name a folder with transcripts.tsv"
        )
    entries = []
    listed = etc / f"an4_{path.name}.fileids"
    try:
        names = listed.read_text(encoding="utf-8").split()
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: {etc} is not AN4's as published ({error})") from error
    texts = {m[2]: m[1] for m in map(_AN4.match, lines) if m}
    for i, name in enumerate(names, 1):
        file = path.parent / "wav" / f"{name}.sph"
        if file.stem not in texts:
            raise CorpusError(f"{table}: no text for {file.stem}")
        where = f"{listed.name}, line {i}"
        entries.append(Entry(file.stem, texts[file.stem], file, where, file.parent.name))
    entries.sort(key=lambda entry: (entry.speaker, entry.id))
    return cuts_of(entries, table, speakers, shortest, longest, channel)


def librispeech(
    path: Path, shortest: float = 0.0, longest: float = 0.0, channel: str = "mix"
) -> CutSet:
    """One part of LibriSpeech as published, such as ``LibriSpeech/test-clean``.

    The options are those of tsv.
    """
    if not path.is_dir():
        raise CorpusError(f"{path}: no such folder; expected a part such as LibriSpeech/test-clean")
    entries = []
    for table in sorted(path.glob("*/*/*.trans.txt")):
        try:
            lines = table.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{table} cannot be read ({error})") from error
        for i, line in enumerate(lines, 1):
            if line.strip():
                name, _, text = line.partition(" ")
                where = f"{table.name}, line {i}"
                file = table.with_name(f"{name}.flac")
                entries.append(Entry(name, text, file, where, table.parts[-3]))
    if not entries:
        raise CorpusError(f"{path}: no utterances found; expected SPEAKER/CHAPTER/*.trans.txt")
    return cuts_of(entries, path, None, shortest, longest, channel)


@rests_on(lambda _: Origin([asset("demo")]))
def demo() -> CutSet:
    """The synthetic speech that ships with melmoat (see its ORIGIN.md)."""
    return tsv(asset("demo"))

"""Makes cuts from the utterances of a list: checks ids, reads lengths, records faults."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment

from melmoat.decoding import AudioError, Channel, Probe, channel_of, probe
from melmoat.errors import MelmoatError, one_line
from melmoat.text import normalise

WRITTEN = "written"  # field of a cut with its text as the corpus writes it
FAULT = "fault"  # field of a cut with the reason why it cannot be read
CHANNEL = "channel"  # field of a cut with its channel, if not all are used
CHANGES = "changes"  # field of a cut with what is done to its audio, in order (waveforms.Change)
IN_FILE = "in_file"  # field of a changed cut with the seconds of its part of the file
SLACK = 0.1  # seconds by which a list may round the length of a recording
MOST = 50  # most lines of one message
_STEERS = ("Cc", "Cs", "Zl", "Zp")  # line breaks, control characters, half characters


class CorpusError(MelmoatError):
    """A corpus that is missing or does not fit its spec, or utterances that cannot be used."""


@dataclass(frozen=True)
class Entry:
    """One utterance of a list.

    Args:
        id, text, speaker: as in the list; the speaker may be unknown.
        path: its file, if the list has one.
        where: its place for messages, such as ``line 3``.
        start, seconds: the part of the file, in seconds; None means to its end.
        channel: channel of the file; None uses the corpus's choice.
        fault: why it cannot be used, if the list itself shows this.
    """

    id: str
    text: str
    path: Path | None
    where: str
    speaker: str = ""
    start: float = 0.0
    seconds: float | None = None
    channel: Channel | None = None
    fault: str = ""


def cuts_of(
    entries: Sequence[Entry],
    origin: Path,
    speakers: str | None = None,
    shortest: float = 0.0,
    longest: float = 0.0,
    channel: str = "mix",
) -> CutSet:
    """The cuts of the selected entries. A cut that cannot be read has its reason, see
    :func:`fault`.

    Args:
        origin: the list, for messages.
        speakers: only these speakers, with ``+`` between them.
        shortest, longest: limits of an utterance's seconds (0 = no limit). Utterances of unknown
            length are kept.
        channel: default channel of files with several: ``mix`` or a number.

    Raises:
        CorpusError: ids are invalid or occur twice; there is no such speaker, no utterance of these
            lengths, or no utterance that can be read.
    """
    chosen = channel_of(channel)
    _check_ids(entries, origin)
    if speakers is not None:
        wanted_speakers, known = set(speakers.split("+")), {entry.speaker for entry in entries}
        if wanted_speakers - known:
            raise CorpusError(
                f"{origin}: no speaker {sorted(wanted_speakers - known)}; it has {sorted(known)}"
            )
        entries = [entry for entry in entries if entry.speaker in wanted_speakers]
    made = [_cut(entry, chosen) for entry in entries]
    cuts = [c for c in made if fault(c) or shortest <= c.duration <= (longest or c.duration)]
    if not cuts:
        wanted = f"{shortest:g} to {longest:g} s" if longest else f"{shortest:g} s or more"
        raise CorpusError(f"{origin}: no utterance of {wanted} in it")
    if all(map(fault, cuts)):
        whole(cuts, str(origin))
    return CutSet.from_cuts(cuts)


def written(cut: MonoCut) -> str:
    """The text of ``cut`` as its corpus writes it, with its case, accents and punctuation;
    ``cut.supervisions[0].text`` is without these."""
    text: str = (cut.supervisions[0].custom or {})[WRITTEN]
    return text


def fault(cut: MonoCut) -> str:
    """The reason why ``cut`` cannot be read; empty if there is none."""
    reason: str = (cut.custom or {}).get(FAULT, "")
    return reason


def whole(cuts: Iterable[MonoCut], origin: str) -> None:
    """Check that all ``cuts`` can be read, as far as their headers show.

    Raises:
        CorpusError: some cannot be read; the message names them all, with the reasons.
    """
    cuts = list(cuts)
    bad = [f"{cut.id}: {fault(cut)}" for cut in cuts if fault(cut)]
    if bad:
        raise CorpusError(
            f"{origin}: {len(bad)} of {len(cuts)} utterances cannot be used\n{_lines(bad)}"
        )


def _lines(messages: Sequence[str]) -> str:
    more = [f"and {len(messages) - MOST} more"] if len(messages) > MOST else []
    return "\n".join([*messages[:MOST], *more])


def _check_ids(entries: Sequence[Entry], origin: Path) -> None:
    if not entries:
        raise CorpusError(f"{origin}: no utterances in it")
    bad, first = [], dict[str, str]()
    for entry in entries:
        if not entry.id.strip():
            bad.append(f"{entry.where}: an utterance without an id")
        elif any(unicodedata.category(letter) in _STEERS for letter in entry.id):
            bad.append(f"{entry.where}: control characters in the id {entry.id!r}")
        elif entry.id in first:
            bad.append(f"{entry.where}: ids occur twice: {entry.id!r} is that of {first[entry.id]}")
        else:
            first[entry.id] = entry.where
    if bad:
        raise CorpusError(f"{origin}: ids that cannot be used\n{_lines(bad)}")


def _length(path: Path) -> Probe:
    if not path.is_file():  # reading a pipe or a device could block
        raise AudioError(f"{path}: {'no regular file' if path.exists() else 'no such file'}")
    return probe(path, str(path))


def _cut(entry: Entry, channel: Channel) -> MonoCut:
    """One cut. Only the header of its file is read, if it has the length."""
    if entry.fault or entry.path is None:
        return _faulty(entry, entry.fault or "missing or not audio: no path is given")
    try:
        info = _length(entry.path)
    except Exception as error:  # any error belongs to this utterance
        return _faulty(entry, f"missing or not audio: {one_line(error)}")
    if not info.frames:
        return _faulty(entry, f"{entry.path} holds no samples")
    channel = channel if entry.channel is None else entry.channel
    if channel != "mix" and channel >= info.channels:
        return _faulty(entry, f"no channel {channel} in {entry.path}, which has {info.channels}")
    length = info.frames / info.rate
    try:
        start, seconds = _part(entry, length)
    except ValueError as error:
        return _faulty(entry, f"{entry.path}: {error}")
    recording = Recording(
        id=entry.id,
        sources=[AudioSource("file", list(range(info.channels)), str(entry.path))],
        sampling_rate=info.rate,
        num_samples=info.frames,
        duration=length,
    )
    custom = None if channel == "mix" else {CHANNEL: channel}
    supervisions = [_supervision(entry, seconds)]
    return MonoCut(entry.id, start, seconds, 0, supervisions, recording=recording, custom=custom)


def _part(entry: Entry, length: float) -> tuple[float, float]:
    """The start of the utterance in its recording, and its duration, in seconds."""
    end = length if entry.seconds is None else entry.start + entry.seconds
    if not (math.isfinite(end) and 0 <= entry.start < end):
        raise ValueError(f"a part from {entry.start:g} to {end:g} s is empty")
    if end > length + SLACK:
        raise ValueError(f"its part ends at {end:g} s, but the file at {length:.3f} s")
    if not entry.start and abs(end - length) <= SLACK:
        return 0.0, length
    return entry.start, min(end, length) - entry.start


def _faulty(entry: Entry, reason: str) -> MonoCut:
    custom = {FAULT: f"{entry.where}: {reason}"}
    return MonoCut(entry.id, 0.0, 0.0, 0, [_supervision(entry, 0.0)], custom=custom)


def _supervision(entry: Entry, seconds: float) -> SupervisionSegment:
    return SupervisionSegment(
        id=entry.id,
        recording_id=entry.id,
        start=0.0,
        duration=seconds,
        text=normalise(entry.text),
        speaker=entry.speaker,
        custom={WRITTEN: " ".join(entry.text.split())},
    )

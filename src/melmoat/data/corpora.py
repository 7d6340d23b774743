"""Corpora as Lhotse CutSets: one cut an utterance, with its text and speaker.

Manifests hold paths, lengths and texts; audio is read when it is used, by :func:`read`.
"""

from __future__ import annotations

import csv
import inspect
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from lhotse import AudioSource, CutSet, MonoCut, Recording, SupervisionSegment
from lhotse.recipes import download_librispeech

from melmoat import audio
from melmoat.assets import asset
from melmoat.audio import RATE, Audio, AudioError
from melmoat.errors import MelmoatError
from melmoat.spec import Family
from melmoat.text import normalise

WRITTEN = "written"  # where a cut keeps its text as the corpus has it
COLUMNS = ("id", "text", "path")  # of transcripts.tsv; speaker is read where it is there
# A text of AN4, with or without marks of a sentence, then the utterance's id.
_AN4 = re.compile(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)\s*$")


class CorpusError(MelmoatError):
    """A corpus that is missing or not laid out as its spec says."""


def tsv(
    path: Path, speakers: str | None = None, shortest: float = 0.0, longest: float = 0.0
) -> CutSet:
    """A folder (or file) with ``transcripts.tsv``: id, text, path and, if known, speaker.

    Tabs are between columns, paths are relative to the folder, other columns are passed over.
    Cuts have their texts in upper case without punctuation and Latin accents; :func:`written` has
    them as they stand. ``speakers`` keeps only those named, with ``+`` between them;
    ``shortest`` and ``longest`` bound an utterance's seconds (0: no bound).
    """
    table = listings(path)[0] if path.is_dir() else path
    if not table.is_file():
        raise CorpusError(f"{table}: no such file; expected a folder with transcripts.tsv")
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE, restval=""))
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise CorpusError(f"{table}: not a table of tabs and UTF-8 text ({error})") from error
    if not rows:
        raise CorpusError(f"{table}: no utterances in it")
    missing = [c for c in COLUMNS if c not in rows[0]]
    if missing:
        raise CorpusError(f"{table}: columns {missing} are missing; expected {list(COLUMNS)}")
    found = [
        (row["id"], row.get("speaker", ""), row["text"], table.parent / row["path"]) for row in rows
    ]
    return _cuts(found, speakers, shortest, longest, table)


def an4(
    path: Path, speakers: str | None = None, shortest: float = 0.0, longest: float = 0.0
) -> CutSet:
    """``an4/train`` or ``an4/test``, where ``an4`` is the folder as published; or as tsv.

    That is the one in ``an4_sphere.tar.gz`` of Carnegie Mellon University, with ``etc`` and ``wav``
    in it. Utterances come in the order of speakers and ids, as in a folder with transcripts.tsv.
    """
    _, table = listings(path)
    etc = table.parent
    if path.exists():
        return tsv(path, speakers, shortest, longest)
    if not etc.is_dir():
        raise CorpusError(
            f"{path}: no such folder; unpack an4_sphere.tar.gz of Carnegie Mellon University so "
            "that it lies there, or name a folder with transcripts.tsv"
        )
    found = []
    try:
        names = (etc / f"an4_{path.name}.fileids").read_text(encoding="utf-8").split()
        lines = table.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"{path}: {etc} is not AN4's as published ({error})") from error
    texts = {m[2]: m[1] for m in map(_AN4.match, lines) if m}
    for name in names:
        file = path.parent / "wav" / f"{name}.sph"
        if file.stem not in texts:
            raise CorpusError(f"{table}: no text for {file.stem}")
        found.append((file.stem, file.parent.name, texts[file.stem], file))
    found.sort(key=lambda one: (one[1], one[0]))
    return _cuts(found, speakers, shortest, longest, table)


def librispeech(path: Path, shortest: float = 0.0, longest: float = 0.0) -> CutSet:
    """One part of LibriSpeech as published, such as ``LibriSpeech/test-clean``; see tsv."""
    if not path.is_dir():
        raise CorpusError(f"{path}: no such folder; expected a part such as LibriSpeech/test-clean")
    found = []
    for table in sorted(path.glob("*/*/*.trans.txt")):
        try:
            lines = table.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"{table} cannot be read ({error})") from error
        for line in filter(str.strip, lines):
            name, _, text = line.partition(" ")
            found.append((name, table.parts[-3], text, table.with_name(f"{name}.flac")))
    if not found:
        raise CorpusError(f"{path}: no utterances found; expected SPEAKER/CHAPTER/*.trans.txt")
    return _cuts(found, None, shortest, longest, path)


def listings(path: Path) -> tuple[Path, Path]:
    """Where the texts of the corpus at ``path`` may stand: as tsv, or as AN4 is published."""
    return path / "transcripts.tsv", path.parent / "etc" / f"an4_{path.name}.transcription"


def demo() -> CutSet:
    """The synthetic speech that ships with melmoat (see its ORIGIN.md)."""
    return tsv(asset("demo"))


CORPORA: Family[CutSet] = Family(
    "corpus", {"an4": an4, "demo": demo, "librispeech": librispeech, "tsv": tsv}
)


def load(spec: str) -> CutSet:
    """Build a corpus from its spec: ``an4:PATH``, ``librispeech:PATH``, ``tsv:PATH``, ``demo``."""
    return CORPORA.build(spec)


def read(cuts: Iterable[MonoCut], rate: int = RATE) -> Audio:
    """Read the audio of ``cuts``, whole files, by :func:`melmoat.audio.load` as one batch.

    Raises:
        AudioError: as there; names the utterance.
    """
    waves = []
    for cut in cuts:
        try:
            waves.append(audio.load(cut.recording.sources[0].source, rate).wav[0])
        except AudioError as error:
            raise AudioError(f"{cut.id}: {error}") from error
    return Audio.of(waves, rate)


def same_speech(spec: str, other: str) -> bool:
    """Whether two corpora have the same utterances, as far as the first, the middle and the last
    one tell. One that cannot be read, having moved, may be any."""
    if spec == other:
        return True
    try:
        ours, theirs = (sorted(load(one), key=lambda cut: cut.id) for one in (spec, other))
        if [cut.id for cut in ours] != [cut.id for cut in theirs]:
            return False
        some = sorted({0, len(ours) // 2, len(ours) - 1})
        one, two = (read([cuts[i] for i in some]) for cuts in (ours, theirs))
    except (MelmoatError, OSError):
        return True
    return one.wav.shape == two.wav.shape and bool((one.wav == two.wav).all())


def written(cut: MonoCut) -> str:
    """What is said in ``cut`` as its corpus writes it: with case, accents and punctuation, where it
    has any; ``cut.supervisions[0].text`` is without."""
    said: str = (cut.supervisions[0].custom or {})[WRITTEN]
    return said


def describe(spec: str | None) -> str:
    """The known corpora, or what one holds, as text for a terminal."""
    if spec is None:
        lines = []
        for name in sorted(CORPORA.table):
            lines.append(f"{CORPORA.usage(name):32} {inspect.getdoc(CORPORA.table[name])}")
        return "\n".join(line.splitlines()[0] for line in lines)
    cuts = list(load(spec))
    seconds = np.array([cut.duration for cut in cuts])
    speakers = {cut.supervisions[0].speaker for cut in cuts}
    words = sum(len((cut.supervisions[0].text or "").split()) for cut in cuts)
    rates = sorted({cut.sampling_rate for cut in cuts})
    return (
        f"{spec}: {len(cuts)} utterances, {seconds.sum() / 3600:.2f} hours, "
        f"{len(speakers)} speakers, {words} words\n"
        f"{seconds.min():.1f} to {seconds.max():.1f} s, {'/'.join(map(str, rates))} Hz\n"
        f"first: {cuts[0].id}: {cuts[0].supervisions[0].text}"
    )


def fetch(spec: str) -> None:
    """Download ``librispeech:DIR/LibriSpeech/PART`` by Lhotse's recipe (openslr.org)."""
    parsed = CORPORA.parse(spec)
    path = parsed.args.get("path")
    if parsed.name != "librispeech" or path is None or path.parent.name != "LibriSpeech":
        raise CorpusError(
            f"{spec}: only librispeech:DIR/LibriSpeech/PART can be downloaded; for an4:an4/test "
            "unpack http://www.speech.cs.cmu.edu/databases/an4/an4_sphere.tar.gz here"
        )
    try:
        download_librispeech(path.parent.parent, dataset_parts=[path.name])
    except OSError as error:
        raise CorpusError(
            f"{spec}: the download failed ({error}); is openslr.org reachable, is there space?"
        ) from error


def _cuts(
    found: Sequence[tuple[str, str, str, Path]],
    speakers: str | None,
    shortest: float,
    longest: float,
    origin: Path,
) -> CutSet:
    """Cuts of ids, speakers, texts and files, of those that were asked for."""
    if speakers is not None:
        kept, known = set(speakers.split("+")), {speaker for _, speaker, _, _ in found}
        if kept - known:
            raise CorpusError(
                f"{origin}: no speaker {sorted(kept - known)}; it has {sorted(known)}"
            )
        found = [one for one in found if one[1] in kept]
    return _unique(_between([_cut(*one) for one in found], shortest, longest, origin), origin)


def _cut(name: str, speaker: str, text: str, path: Path) -> MonoCut:
    """A whole file as one cut; only its header is read."""
    try:
        info = soundfile.info(path)
    except (soundfile.LibsndfileError, OSError, TypeError) as error:  # TypeError: headerless .raw
        raise CorpusError(f"{name}: {path} is missing or not audio ({error})") from error
    if not info.frames:
        raise CorpusError(f"{name}: {path} holds no samples")
    seconds = info.frames / info.samplerate
    recording = Recording(
        id=name,
        sources=[AudioSource("file", list(range(info.channels)), str(path))],
        sampling_rate=info.samplerate,
        num_samples=info.frames,
        duration=seconds,
    )
    said = SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=seconds,
        text=normalise(text),
        speaker=speaker,
        custom={WRITTEN: " ".join(text.split())},
    )
    return MonoCut(name, 0.0, seconds, channel=0, supervisions=[said], recording=recording)


def _between(cuts: list[MonoCut], shortest: float, longest: float, origin: Path) -> list[MonoCut]:
    kept = [c for c in cuts if shortest <= c.duration <= (longest or c.duration)]
    if not kept:
        wanted = f"{shortest:g} to {longest:g} s" if longest else f"{shortest:g} s or more"
        raise CorpusError(f"{origin}: no utterance of {wanted} in it")
    return kept


def _unique(cuts: list[MonoCut], origin: Path) -> CutSet:
    doubled = sorted(name for name, n in Counter(cut.id for cut in cuts).items() if n > 1)
    if doubled:
        raise CorpusError(f"{origin}: utterance ids occur twice: {doubled[:5]}")
    return CutSet.from_cuts(cuts)

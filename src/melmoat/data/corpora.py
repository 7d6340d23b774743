"""Corpora by spec: one cut per utterance, with its text and speaker.

Manifests have paths, lengths and texts. :func:`melmoat.data.read` reads the audio when it is
needed.
"""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Annotated

import numpy as np
from lhotse import CutSet, MonoCut
from lhotse.recipes import download_librispeech
from lhotse.utils import fastcopy

from melmoat.data.custom import python
from melmoat.data.entries import CHANGES, IN_FILE, fault, whole
from melmoat.data.entries import CorpusError as CorpusError  # also this module's own
from melmoat.data.layouts import listings
from melmoat.data.manifests import lhotse, manifest
from melmoat.data.published import an4, demo, librispeech
from melmoat.data.tables import comma, commonvoice, tsv
from melmoat.data.texts import folder
from melmoat.data.waveforms import Altered, Change, Surrounded, read
from melmoat.errors import MelmoatError
from melmoat.facts import Part
from melmoat.spec import Registry, Spec, SpecError
from melmoat.writing_systems import tight, unspaced


class Corpora(Registry[CutSet]):
    """The table of corpora. If a path stands in place of a name, the error suggests specs for
    it."""

    def parse(self, text: str, earlier: bool = False) -> Spec:
        """As :meth:`Registry.parse`."""
        if text.partition(":")[0] not in self.names and (kinds := _kinds(Path(text))):
            raise SpecError(
                f"unknown {self.kind} {text!r}, but a path: is it "
                + " or ".join(f"{kind}:{text}" for kind in kinds)
                + "?"
            )
        try:
            return super().parse(text, earlier)
        except SpecError as error:
            if ":" in text or text in self.names:
                raise
            raise SpecError(
                f"{error}; there is no file or folder {text!r} here, which would be folder:PATH, "
                "tsv:PATH or the like"
            ) from None


def _kinds(path: Path) -> list[str]:
    """The kinds of corpora that ``path`` may be."""
    if path.is_dir():
        return ["tsv"] if listings(path)[0].is_file() else ["folder", "tsv", "librispeech"]
    if not path.is_file():
        return []
    suffixes = "".join(path.suffixes[-2:])
    known = {
        ".txt": ["tsv"],
        ".tsv": ["tsv", "commonvoice"],
        ".csv": ["csv"],
        ".json": ["manifest"],
    }
    if ".jsonl" in suffixes:
        return ["lhotse"] if suffixes.endswith(".gz") else ["manifest", "lhotse"]
    return known.get(path.suffix.lower(), [])


def padded(
    corpus: Annotated[str, Part("corpus")], before: float = 0.0, after: float = 0.0
) -> CutSet:
    """Another corpus with digital silence around each utterance, such as padded:demo,after=2.

    Seconds of silence ``before`` and ``after``. They add nothing to the energy of the speech, so a
    perturbation at a certain SNR is as large as without them. (A constant offset of the recording
    ends where the silence begins, so it adds a little: at most 0.17 dB for 406 utterances of
    LibriSpeech dev-clean, with before=0.5 and after=2.)
    """
    if not (0 <= before < math.inf and 0 <= after < math.inf and before + after > 0):
        raise CorpusError(f"padded: before and after are seconds, got {before:g} and {after:g}")

    return _changed(corpus, Surrounded(before, after))


def altered(
    corpus: Annotated[str, Part("corpus")], gain: float = 0.0, speed: float = 1.0
) -> CutSet:
    """Another corpus at another level or rate of speech, such as altered:demo,speed=1.05.

    Levels change by ``gain`` dB, at most 0: a louder recording might clip. ``speed=1.05`` is 5 %
    faster; pitch moves with it.
    """
    if not (-60 <= gain <= 0 and 0.5 <= speed <= 2 and (gain or speed != 1)):
        raise CorpusError(
            "altered: gain is in dB, from -60 to 0, and speed a factor from 0.5 to 2, got "
            f"{gain:g} and {speed:g}; one of them must change something"
        )
    return _changed(corpus, Altered(gain, speed))


def _changed(corpus: str, change: Change) -> CutSet:
    def changed(cut: MonoCut) -> MonoCut:
        custom = cut.custom or {}
        known = {IN_FILE: custom.get(IN_FILE, cut.duration)}
        known[CHANGES] = (*custom.get(CHANGES, ()), change)
        return fastcopy(cut, duration=change.seconds(cut.duration), custom={**custom, **known})

    return CutSet.from_cuts(map(changed, listed(corpus)))


CORPORA = Corpora(
    "corpus",
    {
        "altered": altered,
        "an4": an4,
        "commonvoice": commonvoice,
        "csv": comma,
        "demo": demo,
        "folder": folder,
        "lhotse": lhotse,
        "librispeech": librispeech,
        "manifest": manifest,
        "padded": padded,
        "python": python,
        "tsv": tsv,
    },
    group="melmoat.corpora",
)


def load(spec: str) -> CutSet:
    """Build a corpus from its spec, such as ``an4:PATH``, ``tsv:PATH``, ``demo``.

    Raises:
        CorpusError: the layout does not fit the spec, or the headers of some files show that they
            cannot be read; the message names them all.
    """
    cuts = listed(spec)
    whole(cuts, spec)
    return cuts


def listed(spec: str) -> CutSet:
    """As :func:`load`, but it includes utterances that cannot be read: see
    :func:`melmoat.data.fault`."""
    return CORPORA.build(spec)


def same_speech(spec: str, other: str) -> bool:
    """Whether two corpora have the same utterances, judged by the first, the middle and the last
    one. A corpus that cannot be read, because it was moved, counts as the same."""
    if spec == other:
        return True
    try:
        ours, theirs = (sorted(listed(first), key=lambda cut: cut.id) for first in (spec, other))
        if [cut.id for cut in ours] != [cut.id for cut in theirs]:
            return False
        some = sorted({0, len(ours) // 2, len(ours) - 1})
        first, second = (read([cuts[i] for i in some]) for cuts in (ours, theirs))
    except (MelmoatError, OSError):
        return True
    return first.wav.shape == second.wav.shape and bool((first.wav == second.wav).all())


def describe(spec: str | None, cuts: CutSet | None = None) -> str:
    """A text for the terminal: the known corpora, or a description of one corpus."""
    if spec is None:
        lines = []
        for name in CORPORA.names:
            try:
                about = inspect.getdoc(CORPORA.factory(name))
                first = (about or "").partition("\n")[0].replace("``", "")
                lines.append(f"{CORPORA.usage(name)}\n  {first}")
            except MelmoatError as error:  # its package is broken
                lines.append(f"{name}\n  {error}")
        return "\n".join(lines)
    known = [cut for cut in (listed(spec) if cuts is None else cuts) if not fault(cut)]
    seconds = np.array([cut.duration for cut in known])
    speakers = {cut.supervisions[0].speaker for cut in known} - {"", None}
    texts = [cut.supervisions[0].text or "" for cut in known]
    if unspaced(*texts):  # each would be one word
        size = f"{sum(len(tight(text)) for text in texts)} characters"
    else:
        size = f"{sum(len(text.split()) for text in texts)} words"
    rates = sorted({cut.sampling_rate for cut in known})
    return (
        f"{spec}: {len(known)} utterances, {seconds.sum() / 3600:.2f} hours, "
        f"{len(speakers) or 'unknown'} speakers, {size}\n"
        f"{seconds.min():.1f} to {seconds.max():.1f} s, {'/'.join(map(str, rates))} Hz\n"
        f"first: {known[0].id}: {known[0].supervisions[0].text}"
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

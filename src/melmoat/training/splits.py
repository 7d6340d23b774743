"""Splits speech into training and validation."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from lhotse import CutSet, MonoCut

from melmoat import data
from melmoat.errors import MelmoatError

KNOWN = ("an4", "librispeech")  # folders whose parts are called test, train-clean-5, ...


class SplitWarning(UserWarning):
    """A warning about who was held out."""


def split_speakers(
    cuts: CutSet, held_out: int, names: Sequence[str] | None = None
) -> tuple[CutSet, CutSet]:
    """Training cuts, and the cuts of the speakers held out.

    Args:
        held_out: number of held-out speakers, the same ones of a corpus whatever the seed of a
            training. So trainings of several seeds are compared on speakers that none has heard.
        names: speakers to hold out instead, if the corpus has any of them: those that the network
            to go on from has never heard.

    Raises:
        MelmoatError: no speaker would be left for training, or no speaker is known.

    Warns:
        SplitWarning: the corpus has none of ``names``, so others are held out.
    """
    speakers = sorted({cut.supervisions[0].speaker for cut in cuts} - {"", None})
    if held_out and not speakers:
        raise MelmoatError(
            "cannot hold out speakers, because the speakers are unknown: use --held-out 0, or add "
            "a column speaker to transcripts.tsv"
        )
    chosen = set(names or ()) & set(speakers)
    if not chosen:
        chosen = set(np.random.default_rng([0, 3]).permutation(speakers)[:held_out].tolist())
        if names and chosen:
            warnings.warn(
                "the corpus has none of the speakers that --start was trained without: if it "
                "learned from those held out now, their scores are too good",
                SplitWarning,
                stacklevel=2,
            )
    training = [cut for cut in cuts if cut.supervisions[0].speaker not in chosen]
    if not training:
        raise MelmoatError(
            f"cannot hold out {len(chosen)} of {len(speakers)} speakers; choose fewer to hold out"
        )
    held = [cut for cut in cuts if cut.supervisions[0].speaker in chosen]
    return CutSet.from_cuts(training), CutSet.from_cuts(held)


def unheard(held: Iterable[MonoCut], names: Sequence[str] | None) -> set[str]:
    """Speakers that a network has never heard: those held out, and those that the one to go on from
    held out (``names``), unless it learns from them now: they must be in no other corpus of it."""
    return {cut.supervisions[0].speaker for cut in held} | set(names or ())


def combine(corpora: Sequence[CutSet]) -> CutSet:
    """All cuts of several corpora."""
    return CutSet.from_cuts([cut for cuts in corpora for cut in cuts])


def provenance(spec: str) -> dict[str, object]:
    """A description of a corpus, without paths of this machine."""
    cuts = list(data.load(spec))
    hours = sum(cut.duration for cut in cuts) / 3600
    kind, _, path = spec.partition(":")
    parts = Path(path).parts[-2:]
    name = "/".join(parts if parts and parts[0].lower() in KNOWN else parts[-1:])
    return {"corpus": kind, "name": name, "utterances": len(cuts), "hours": round(hours, 3)}

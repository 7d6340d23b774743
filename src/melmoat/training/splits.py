"""Splits speech into training and validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lhotse import CutSet

from melmoat import data
from melmoat.errors import MelmoatError

KNOWN = ("an4", "librispeech")  # folders whose parts are called test, train-clean-5, ...


def split_speakers(
    cuts: CutSet, held_out: int, names: Sequence[str] | None = None
) -> tuple[CutSet, CutSet]:
    """Training cuts, and the cuts of the speakers held out.

    Args:
        held_out: number of held-out speakers, the same ones of a corpus whatever the seed of a
            training. So trainings of several seeds are compared on speakers that none has heard.
        names: speakers to hold out instead, if the corpus has any of them.

    Raises:
        MelmoatError: no speaker would be left for training, or no speaker is known.
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
    training = [cut for cut in cuts if cut.supervisions[0].speaker not in chosen]
    if not training:
        raise MelmoatError(
            f"cannot hold out {len(chosen)} of {len(speakers)} speakers; choose fewer to hold out"
        )
    held = [cut for cut in cuts if cut.supervisions[0].speaker in chosen]
    return CutSet.from_cuts(training), CutSet.from_cuts(held)


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

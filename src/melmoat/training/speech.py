"""What speech a training run learns from, and what it keeps for validation."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lhotse import CutSet

from melmoat import data
from melmoat.errors import MelmoatError


def split_speakers(cuts: CutSet, held_out: int, seed: int) -> tuple[CutSet, CutSet]:
    """Training cuts, and the cuts of ``held_out`` speakers chosen by ``seed``."""
    speakers = sorted({cut.supervisions[0].speaker for cut in cuts})
    if held_out >= len(speakers):
        raise MelmoatError(
            f"cannot hold out {held_out} of {len(speakers)} speakers; choose fewer to hold out"
        )
    chosen = set(np.random.default_rng([seed, 3]).permutation(speakers)[:held_out].tolist())
    kept = [cut for cut in cuts if cut.supervisions[0].speaker not in chosen]
    held = [cut for cut in cuts if cut.supervisions[0].speaker in chosen]
    return CutSet.from_cuts(kept), CutSet.from_cuts(held)


def combine(corpora: Sequence[CutSet]) -> CutSet:
    """All cuts of several corpora."""
    return CutSet.from_cuts([cut for cuts in corpora for cut in cuts])


def provenance(spec: str) -> dict[str, object]:
    """A corpus by what it is; where it lay on this machine is nobody's business."""
    cuts = list(data.load(spec))
    hours = sum(cut.duration for cut in cuts) / 3600
    kind, _, path = spec.partition(":")
    name = "/".join(Path(path).parts[-2:])
    return {"corpus": kind, "name": name, "utterances": len(cuts), "hours": round(hours, 3)}


def anonymous(spec: str) -> str:
    """``spec`` with every path reduced to its last name.

    >>> anonymous("mdnf:vocoder=trained:/home/me/run/model.safetensors,level=0.1")
    'mdnf:vocoder=trained:model.safetensors,level=0.1'
    """
    return re.sub(r"[^:=,]*/", "", spec)

from pathlib import Path
from shutil import copytree

import pytest
from lhotse import CutSet

from melmoat import data
from melmoat.assets import asset
from melmoat.errors import MelmoatError
from melmoat.training.splits import provenance, split_speakers


def test_a_corpus_is_named_by_what_it_is_not_by_where_it_lies(tmp_path: Path) -> None:
    home = tmp_path / "somebody" / "an4" / "train"
    copytree(asset("demo"), home)
    found = provenance(f"tsv:{home}")
    assert found["corpus"] == "tsv"
    assert found["name"] == "an4/train"
    assert found["utterances"] == 24
    assert provenance("demo")["corpus"] == "demo"
    copytree(asset("demo"), tmp_path / "somebody" / "speech")
    assert provenance(f"tsv:{tmp_path / 'somebody' / 'speech'}")["name"] == "speech"


def test_who_is_not_known_is_no_speaker_to_hold_out() -> None:
    known, unknown = list(data.load("demo"))[:6], list(data.load("demo"))[6:]
    for cut in unknown:
        cut.supervisions[0].speaker = ""
    for count in (1, len({cut.supervisions[0].speaker for cut in known})):
        kept, held = split_speakers(CutSet.from_cuts([*known, *unknown]), count)
        assert {c.id for c in unknown} <= {c.id for c in kept}
        assert len({c.supervisions[0].speaker for c in held} - {""}) == count
    with pytest.raises(MelmoatError, match="the speakers are unknown"):
        split_speakers(CutSet.from_cuts(unknown), 1)
    assert len(list(split_speakers(CutSet.from_cuts(unknown), 0)[0])) == len(unknown)


def test_named_speakers_are_held_out_as_far_as_they_are_there() -> None:
    cuts = data.load("demo")
    first, *others = sorted({c.supervisions[0].speaker for c in cuts})
    kept, held = split_speakers(cuts, 0, names=[first, "elsewhere"])
    assert {c.supervisions[0].speaker for c in held} == {first}
    assert {c.supervisions[0].speaker for c in kept} == set(others)
    with pytest.raises(MelmoatError, match="cannot hold out"):
        split_speakers(cuts, 0, names=[first, *others])

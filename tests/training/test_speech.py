from pathlib import Path
from shutil import copytree

import pytest

from melmoat import data
from melmoat.assets import asset
from melmoat.errors import MelmoatError
from melmoat.training.speech import provenance, split_speakers


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


def test_named_speakers_are_held_out_as_far_as_they_are_there() -> None:
    cuts = data.load("demo")
    first, *others = sorted({c.supervisions[0].speaker for c in cuts})
    kept, held = split_speakers(cuts, 0, seed=0, names=[first, "elsewhere"])
    assert {c.supervisions[0].speaker for c in held} == {first}
    assert {c.supervisions[0].speaker for c in kept} == set(others)
    with pytest.raises(MelmoatError, match="cannot hold out"):
        split_speakers(cuts, 0, seed=0, names=[first, *others])

"""Each utterance's audio has a file of its own, in its folder."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from melmoat.bench import audio_store

ODD = [
    "s1/u1",
    "s1_u1",
    "S1_U1",
    "s1\\u1",
    "..",
    "../u",
    "/etc/u",
    ".",
    "u",
    "U",
    "u.",
    "u ",
    "con",
    "nul.wav",
    "é",
    "e\u0301",
    "x" * 100,
    "x" * 101,
    "x" * 5_000,
    "звонок" * 50,
    "-u",
    "u~2c6c321f27666f87",
    "a:b",
    "a*b?",
]


def test_no_two_ids_share_a_file_and_none_leaves_the_folder(tmp_path: Path) -> None:
    files = [audio_store.file(tmp_path, one, "adversarial") for one in ODD]
    assert len({file.name.casefold() for file in files}) == len(ODD)
    for file in files:
        assert file.parent == tmp_path
        file.touch()  # no name is too long
    assert len(list(tmp_path.iterdir())) == len(ODD)


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_file_tells_its_id_from_any_other(one: str, other: str) -> None:
    assert (audio_store.stem(one).casefold() == audio_store.stem(other).casefold()) == (
        one == other
    )


def test_ids_that_were_names_keep_them(tmp_path: Path) -> None:
    for name in ("demo-0001-flite-slt", "84-121-0000", "an1-mabc-b", "a.b_c"):
        assert audio_store.file(tmp_path, name, "clean") == tmp_path / f"{name}.clean.flac"


def test_audio_of_earlier_versions_is_found_where_it_is_told_from_others(tmp_path: Path) -> None:
    assert audio_store.find(tmp_path / "none", "P225_001", "clean") is None
    for name in ("P225_001.clean.flac", "s1_u1.clean.flac"):
        (tmp_path / name).touch()
    assert audio_store.find(tmp_path, "P225_001", "clean") == tmp_path / "P225_001.clean.flac"
    assert audio_store.find(tmp_path, "p225_001", "clean") is None
    assert audio_store.find(tmp_path, "s1/u1", "clean") is None  # it may be that of s1_u1
    audio_store.file(tmp_path, "P225_001", "clean").touch()
    assert audio_store.find(tmp_path, "P225_001", "clean") == audio_store.file(
        tmp_path, "P225_001", "clean"
    )

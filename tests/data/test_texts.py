"""A folder with a text beside each file."""

from pathlib import Path

import pytest

from melmoat import data
from melmoat.bench.cell import grid
from melmoat.data.corpora import CorpusError
from tests.data.speech import tone


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("a.wav", "a.txt"), ("sub/b.FLAC", "sub/b.lab")):
        tone(tmp_path / "in" / name)
        (tmp_path / "in" / text).write_text(f"Said in\n{name}\n", encoding="utf-8")
    (tmp_path / "in" / "README.txt").write_text("no transcript")
    return tmp_path / "in"


def test_texts_lie_beside_their_files(folder: Path) -> None:
    cuts = list(data.load(f"folder:{folder}"))
    assert [c.id for c in cuts] == ["a", "sub/b"]
    assert [data.written(c) for c in cuts] == ["Said in a.wav", "Said in sub/b.FLAC"]


def test_a_file_without_a_text_is_named(folder: Path) -> None:
    tone(folder / "c.wav")
    (folder / "d.wav").symlink_to("nowhere.wav")
    by_name = {cut.id: data.fault(cut) for cut in data.listed(f"folder:{folder}")}
    assert "no text beside it (c.txt or c.lab)" in by_name["c"]
    assert "dead link" in by_name["d"]
    assert not by_name["a"]
    (folder / "a.txt").unlink()
    (folder / "sub" / "b.lab").unlink()
    with pytest.raises(CorpusError, match="no texts beside its 3 audio files"):
        data.listed(f"folder:{folder}")


def test_two_files_of_one_text_are_refused(folder: Path) -> None:
    tone(folder / "a.flac")
    with pytest.raises(CorpusError, match=r"a\.wav: ids occur twice: 'a' is that of a\.flac"):
        data.listed(f"folder:{folder}")


def test_another_text_is_another_corpus_and_another_place_is_not(
    folder: Path, tmp_path: Path
) -> None:
    def key(path: Path) -> str:
        return grid(["ds2-an4"], ["none"], ["none"], [f"folder:{path}"])[0].key

    before = key(folder)
    assert key(folder.rename(tmp_path / "other")) == before
    (tmp_path / "other" / "a.txt").write_text("Said otherwise")
    assert key(tmp_path / "other") != before

"""Each file of a folder is found, passed over with a reason, or a fault."""

import os
from pathlib import Path

import pytest

from melmoat.data.folders import MOST, FolderContents, find, passed_over, shown
from melmoat.decoding import SUFFIXES
from tests.data.speech import tone


def test_every_file_is_found_passed_over_or_a_fault(tmp_path: Path) -> None:
    home, out = tmp_path / "in", tmp_path / "elsewhere"
    good = ["-dash.wav", "UPPER.WAV", "a=b.wav", "call (1).wav", "sub/s.flac", "звонок ß.wav"]
    for name in good:
        tone(home / name)
    tone(home / "noext.wav").rename(home / "noext")
    tone(out / "linked.wav")
    (home / "link").symlink_to(out)
    (home / "dead.wav").symlink_to("nowhere.wav")
    (home / "deaddir").symlink_to("nowhere")
    (home / "sub" / "back").symlink_to(home)
    os.mkfifo(home / "pipe.wav")
    for name in ("README.txt", ".DS_Store", "._call.wav", "done", "notes.json"):
        (home / name).write_text("no audio")
    (home / "text").write_text("no audio")
    found = find(home)
    names = [str(file.relative_to(home)) for file in found.files]
    assert names == sorted([*good, "link/linked.wav", "noext"])
    assert {path.name for path in found.failed} == {"dead.wav", "deaddir"}
    assert {path.name: why for path, why in found.passed.items()} == {
        ".DS_Store": "hidden",
        "._call.wav": "hidden",
        "README.txt": "no audio by its suffix",
        "back": "a link back to a folder that it lies in",
        "done": "no suffix, and no audio in it",
        "notes.json": "no audio by its suffix",
        "pipe.wav": "no regular file",
        "text": "no suffix, and no audio in it",
    }


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_suffixes_are_the_decoders(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix.upper()}").touch()
    assert len(find(tmp_path).files) == 1


def test_a_folder_that_cannot_be_opened_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tone(tmp_path / "a.wav")
    (tmp_path / "locked").mkdir()
    opened = Path.iterdir

    def locked(self: Path) -> object:
        if self.name == "locked":
            raise PermissionError(13, "Permission denied")
        return opened(self)

    monkeypatch.setattr(Path, "iterdir", locked)
    found = find(tmp_path)
    assert [file.name for file in found.files] == ["a.wav"]
    assert found.failed == {tmp_path / "locked": "cannot be opened (Permission denied)"}


def test_what_was_passed_over_is_counted_and_named_up_to_a_limit() -> None:
    many = FolderContents(passed={Path(f"{i}.txt"): "no audio" for i in range(MOST + 5)})
    lines = passed_over([FolderContents(), many])
    assert lines[0] == f"passed over, {MOST + 5} in all:"
    assert len(lines) == MOST + 2
    assert passed_over([FolderContents()]) == []


def test_names_of_any_bytes_are_one_line_of_text() -> None:
    assert shown(Path("a\nb\x1b.wav")) == "a\\nb\\x1b.wav"
    assert shown(os.fsdecode(b"\xff.wav")) == "\\xff.wav"

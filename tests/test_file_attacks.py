"""Files and folders under attack."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat import audio, data
from melmoat.cli.app import app
from melmoat.errors import MelmoatError

NOISE = ["--attack", "noise:norm=snr,db=10"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    for cut, name in zip(list(data.load("demo"))[:2], ("a.wav", "sub/b.flac"), strict=True):
        audio.save(root / name, data.read([cut]))
    return root


def attack(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["attack", *map(str, words)], catch_exceptions=False)
    return result.exit_code, result.stdout, result.stderr


def test_a_folder_is_attacked_file_by_file(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (folder / "c.wav").write_bytes(b"")
    code, said, errors = attack(folder, out, *NOISE)
    assert code == 1
    assert "c.wav: the file is empty" in errors
    assert "1 of 3 failed" in errors
    assert "2 files, goal reached in" in said
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert [line["audio_filepath"] for line in lines] == ["a.wav", "sub/b.flac"]
    for line in lines:
        assert (out / line["audio_filepath"]).is_file()
        assert Path(line["source"]).is_file()
        assert line["snr_db"] == pytest.approx(10, abs=0.1)
        assert line["attack"] == NOISE[1]
        assert line["reached"] == (line["benign"] != line["adversarial"])


def test_a_file_of_a_folder_is_attacked_as_by_itself(folder: Path, tmp_path: Path) -> None:
    attack(folder, tmp_path / "out", *NOISE)
    _, said, _ = attack(folder / "a.wav", tmp_path / "a.wav", *NOISE)
    assert said.startswith("before: ")
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "out" / "a.wav").read_bytes()


def test_a_manifest_keeps_what_it_says_of_other_files(folder: Path, tmp_path: Path) -> None:
    out, manifest = tmp_path / "out", tmp_path / "out" / "manifest.jsonl"
    attack(folder / "a.wav", folder / "sub" / "b.flac", out, *NOISE)
    first = manifest.read_text().splitlines()
    attack(folder / "a.wav", out, "--attack", "noise:norm=snr,db=20")
    kept, new = manifest.read_text().splitlines()
    assert kept == first[1]
    assert json.loads(new)["attack"] == "noise:norm=snr,db=20"
    manifest.write_text("mine\n")
    with pytest.raises(MelmoatError, match="not a manifest of attacked files"):
        attack(folder / "a.wav", out, *NOISE)
    assert manifest.read_text() == "mine\n"


def test_a_text_is_of_one_file(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MelmoatError, match="one file"):
        attack(folder, tmp_path / "out", "--attack", "pgd:db=20,against=truth", "--text", "STOP")
    with pytest.raises(MelmoatError, match="one or more sources"):
        attack(folder / "a.wav", *NOISE)

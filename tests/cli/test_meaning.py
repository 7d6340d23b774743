"""``melmoat meaning``."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat.cli.app import app
from melmoat.runs import Run
from melmoat.semantic import loading
from tests.cli.test_analysis import run
from tests.test_runs import results, write

pytest.importorskip("transformers", reason="needs the extra semantic")

from tests.semantic import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "run", results())


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny.save(tmp_path / "tiny")


def told(*words: object) -> str:
    return str(CliRunner().invoke(app, ["meaning", *map(str, words)]).exception)


def test_the_table_fits_a_terminal_and_json_has_all_of_it(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = run("meaning", folder, "--model", model)
    assert max(map(len, text.splitlines())) <= 80
    assert text.startswith("Semantic distance on an4:test\n")
    assert text.count(" RS ") == 1
    wer = f"{Run(folder).summary[3]['wer']:.1f}"
    assert f"l2 20 dB │ 40 │ {wer} │ {wer} │" in " ".join(text.split())
    found = json.loads(run("meaning", folder, "--model", model, "--json"))
    assert found == [asdict(one) for one in Run(folder).meaning(model=str(model))]
    assert [one["attack"] for one in found] == ["benign", "l2 20 dB"] * 2
    one = run("meaning", folder, "--model", model, "--row", "RS / benign")
    assert "l2 20 dB" not in one


def test_a_folder_of_evaluate_is_read(folder: Path, model: Path) -> None:
    home = folder.parent / "standard"
    home.mkdir()
    warning = "do not compare them"
    assert warning not in run("meaning", folder, "--model", model)
    folder.rename(home / "members")
    text = " ".join(run("meaning", home, "--model", model).split())
    assert text.startswith("Semantic distance on an4:test")
    assert warning in text


def test_errors_say_what_to_do(
    folder: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "no run.json here" in told(tmp_path)
    assert "not a sentence model" in told(folder, "--model", folder)
    assert "no row called 'nothing'" in told(folder, "--row", "nothing", "--model", model)
    monkeypatch.setattr(loading, "MODULE", "no_such_module")
    assert loading.INSTALL in told(folder)


def test_ctrl_c_says_that_nothing_is_stored(
    folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Run, "meaning", stopped)
    result = CliRunner().invoke(app, ["meaning", str(folder), "--model", str(model)])
    assert result.exit_code == 130
    assert "interrupted: nothing is stored" in result.stderr

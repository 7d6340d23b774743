"""How commands end early."""

import re
import warnings
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat.assets import asset
from melmoat.audio import AudioWarning
from melmoat.cli.app import app
from melmoat.cli.errors import plain_errors, resumable
from melmoat.errors import MelmoatError
from melmoat.training.splits import SplitWarning


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), plain_errors():
        raise MelmoatError("no such corpus")
    assert capsys.readouterr().err == "error: no such corpus\n"


@pytest.mark.parametrize("kind", [AudioWarning, SplitWarning])
def test_a_warning_of_ours_is_one_line(kind: type[Warning]) -> None:
    with plain_errors():
        assert warnings.formatwarning("faint", kind, "file.py", 1) == "warning: faint\n"
        assert "file.py" in warnings.formatwarning("faint", UserWarning, "file.py", 1)


def test_an_interruption_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="130"), resumable("finished rows are", Path("run")):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert said == "interrupted: finished rows are in run; the same command goes on\n"


def test_an_interrupted_command_on_files_says_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("melmoat.file_jobs.defend_files", stopped)
    monkeypatch.setattr("melmoat.file_attacks.attack_file", stopped)
    folder, out = str(asset("demo/audio")), str(tmp_path / "out")
    source = f"{folder}/demo-0001-flite-slt.flac"
    for words, told in {
        ("defend", source, f"{out}.wav", "--defense", "wgn"): "nothing was written",
        ("attack", source, f"{out}.wav"): "nothing was written",
        ("defend", folder, out, "--defense", "wgn"): f"finished files are in {out}",
        ("attack", folder, out): f"finished files are in {out}",
    }.items():
        result = CliRunner().invoke(app, words)
        assert (result.exit_code, result.stderr.splitlines()[-1]) == (130, f"interrupted: {told}")


def test_what_is_near_is_asked_for() -> None:
    for words, meant in {
        ("--attack", "pdg:db=20"): "did you mean 'pgd'",
        ("--attack", "pgd:db=20,step_s=9"): "did you mean 'steps'",
        ("--attack", "pgd:norm=linf,eps=8"): "full scale is 1",
        ("--data", "myfolder"): "tsv:PATH",
    }.items():
        result = CliRunner().invoke(app, ["bench", "--out", "run", *words])
        assert meant in str(result.exception), words


def test_parts_are_explained_without_markup() -> None:
    for part in ("pgd", "none", "rs", "nes", "tsv"):
        text = CliRunner().invoke(app, ["list", part]).output
        assert not re.search(r"``|:(class|func|meth|mod|attr):", text), part
    told = CliRunner().invoke(app, ["list", "pgd"]).output
    assert "the text's best path.\n" in told  # a bare name in parentheses says nothing to a reader
    assert "``" not in CliRunner().invoke(app, ["data"]).output

"""``melmoat detect``."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat import audio, data, detectors, models
from melmoat.audio import Audio
from melmoat.cli.app import app
from melmoat.draws import Draws
from melmoat.errors import MelmoatError

CLI = CliRunner()
DETECTOR = ["detect", "--detector", "distriblock"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, cut in enumerate(list(data.load("demo"))[:3]):
        audio.save(tmp_path / f"{number}.wav", Audio.of([data.read([cut]).wav[0, :12_000]]))
    return tmp_path


def test_files_are_scored_and_judged_by_a_threshold(folder: Path) -> None:
    result = CLI.invoke(app, [*DETECTOR, str(folder)], catch_exceptions=False)
    assert result.exit_code == 0
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    made, model = detectors.build("distriblock"), models.load("ds2-an4")
    wanted = [
        detectors.score(made, model, audio.load(folder / f"{n}.wav"), Draws([0]))[0]
        for n in range(3)
    ]
    assert [float(score) for _, score in lines] == pytest.approx(wanted, abs=1e-4)
    assert len(set(wanted)) == 3
    limit = sorted(wanted)[1]
    result = CLI.invoke(
        app, [*DETECTOR, str(folder), "--threshold", str(limit), "--json"], catch_exceptions=False
    )
    told = json.loads(result.stdout)
    assert told["threshold"] == limit
    assert [one["suspect"] for one in told["files"]] == [score > limit for score in wanted]


def test_the_threshold_of_recordings_that_nobody_attacked(folder: Path) -> None:
    words = [*DETECTOR, str(folder / "0.wav"), "--calibrate", str(folder), "--false-alarms", "34"]
    result = CLI.invoke(app, words, catch_exceptions=False)
    assert "from 3 recordings" in result.stderr
    assert "warning" not in result.stderr
    with pytest.raises(MelmoatError, match="--false-alarms needs --calibrate"):
        CLI.invoke(app, [*words[:4], *words[-2:], "--threshold", "1"], catch_exceptions=False)
    result = CLI.invoke(app, [*words[:-1], "1"], catch_exceptions=False)
    assert result.stdout.endswith("\tnot suspect\n")  # the largest score is not above itself
    assert "3 recordings cannot show a rate of 1 %" in result.stderr


def test_a_file_that_fails_is_named_and_the_others_are_scored(folder: Path) -> None:
    (folder / "1.wav").write_text("no audio")
    result = CLI.invoke(app, [*DETECTOR, str(folder)], catch_exceptions=False)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 2
    assert "1.wav" in result.stderr
    assert "2 scored, 1 failed" in result.stderr
    words = [*DETECTOR, str(folder / "0.wav"), "--calibrate", str(folder)]
    result = CLI.invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 1
    assert "no threshold" in result.stderr
    assert "suspect" not in result.stdout


def test_options_that_contradict_are_refused(folder: Path) -> None:
    for words, said in (
        (["--threshold", "1", "--calibrate", str(folder)], "give one"),
        (["--threshold", "nan"], "finite"),
        (["--false-alarms", "100"], "below 100 percent"),
        (["--detector", "entropy"], "unknown detector 'entropy'; known: disagreement"),
    ):
        result = CLI.invoke(app, ["detect", str(folder), *words])
        assert isinstance(result.exception, MelmoatError)
        assert said in str(result.exception)

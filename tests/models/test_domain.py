"""A recognizer says where it hears speech unlike what it knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from melmoat import audio, data, models
from melmoat.audio import Audio
from melmoat.cli.app import app
from melmoat.models.domain import confidence, domain_of, unlike

WARNING = "unlike what ds2-an4 knows"


def test_confidence_is_over_the_frames_of_letters() -> None:
    probs = torch.tensor([[[0.1, 0.9], [0.6, 0.4], [0.25, 0.75], [0.0, 1.0]]])
    wanted = (torch.tensor(0.9).log() + torch.tensor(0.75).log()) / 2
    assert confidence(probs.log(), torch.tensor([3]))[0] == pytest.approx(float(wanted))
    assert confidence(probs.log()[:, 1:2], torch.tensor([1]))[0] == 0, "no letter"


def test_the_demo_is_like_an4_and_silence_says_nothing() -> None:
    model = models.load("ds2-an4")
    some = data.read(list(data.load("demo"))[:6], model.rate)
    assert unlike(model, some) == [False] * 6
    assert unlike(model, Audio.of([torch.zeros(16_000)])) == [False]
    assert domain_of(models.load("ds2-an4-mg")) is None, "not measured"


def test_open_speech_is_unlike_an4(shared: Path, tmp_path: Path) -> None:
    model = models.load("ds2-an4")
    corpus = f"tsv:{shared}/data/librispeech/dev-clean-mp3,shortest=2,longest=4"
    cuts = list(data.load(corpus))[::20][:5]
    found = [unlike(model, data.read([cut], model.rate))[0] for cut in cuts]
    assert sum(found) >= 4
    audio.save(tmp_path / "a.wav", data.read([cuts[found.index(True)]], model.rate))
    result = CliRunner().invoke(app, ["transcribe", str(tmp_path / "a.wav")])
    assert result.stderr.count(WARNING) == 1
    assert "melmoat[offline]" in result.stderr
    words = ["attack", str(tmp_path / "a.wav"), str(tmp_path / "b.wav"), "--attack", "none"]
    assert WARNING in CliRunner().invoke(app, words).stderr


def test_speech_of_the_domain_gets_no_warning(tmp_path: Path) -> None:
    audio.save(tmp_path / "a.wav", data.read(list(data.load("demo"))[:1]))
    result = CliRunner().invoke(app, ["transcribe", str(tmp_path / "a.wav")])
    assert result.stderr == ""

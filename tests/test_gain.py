"""Whatever the level of a recording: what is written keeps its SNR, and its level."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from numpy.typing import NDArray
from typer.testing import CliRunner

from melmoat import audio, data
from melmoat.audio import Audio, AudioWarning, kept_gain
from melmoat.cli.app import app

LEVELS = [-60, -42, -30, 0, 12, 30]  # dB against a usual recording
OWN = """
class Ear:
    rate = 16_000
    def transcribe(self, audio, draws):
        return [f"{wave.abs().max():.4f}" for wave in audio]
    def loss(self, audio, texts, draws):
        return audio.wav.square().sum(1)

def load():
    return Ear()
"""


def run(*words: object) -> None:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A recognizer that hears how loud it is."""
    (tmp_path / "loudness_ear.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    return "python:loudness_ear:load"


def speech(seconds: float = 1.0) -> NDArray[np.float64]:
    """Noise that rises and falls, as loud as speech, of more bits than 16."""
    t = np.arange(round(16_000 * seconds)) / 16_000
    noise = np.random.default_rng(0).standard_normal(len(t))
    return 0.05 * noise * np.abs(np.sin(2 * np.pi * 3 * t))


def written(path: Path, level: float, coding: str = "FLOAT") -> NDArray[np.float64]:
    wave = speech() * 10 ** (level / 20)
    soundfile.write(path, wave, 16_000, subtype=coding)
    return soundfile.read(path)[0]


def snr(clean: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(10 * np.log10(np.square(clean).sum() / np.square(clean - other).sum()))


@pytest.mark.parametrize("level", LEVELS)
def test_reading_leaves_a_level_that_16_bits_hold(level: int, tmp_path: Path) -> None:
    wave = written(tmp_path / "a.wav", level)
    found = audio.read(tmp_path / "a.wav")
    assert found.gain == 1 or np.log2(found.gain) % 1 == 0  # exact in floats
    assert np.allclose(found.audio.wav[0].numpy(), wave * found.gain, rtol=1e-6)
    assert snr(wave * found.gain, found.audio.quantized().wav[0].numpy()) > 50
    if level == 0:
        assert found.gain == 1


@pytest.mark.parametrize("level", LEVELS)
def test_defend_keeps_it(level: int, tmp_path: Path) -> None:
    wave = written(tmp_path / "a.wav", level)
    run("defend", tmp_path / "a.wav", tmp_path / "b.wav", "--defense", "none")
    assert snr(wave, soundfile.read(tmp_path / "b.wav")[0]) > 50


@pytest.mark.parametrize("level", [-60, 0, 30])
def test_attack_keeps_it(level: int, tmp_path: Path, own: str) -> None:
    wave = written(tmp_path / "a.wav", level)
    attack = ["attack", tmp_path / "a.wav", tmp_path / "b.wav", "--attack", "noise:norm=snr,db=40"]
    run(*attack, "--model", own)
    assert snr(wave, soundfile.read(tmp_path / "b.wav")[0]) == pytest.approx(40, abs=0.1)


@pytest.mark.parametrize("level", [-60, 0, 30])
def test_the_bench_keeps_it_and_says_so(level: int, tmp_path: Path, own: str) -> None:
    written(tmp_path / "a.wav", level)
    (tmp_path / "transcripts.tsv").write_text("id\ttext\tpath\nu1\tGO\ta.wav\n")
    out = tmp_path / "run"
    bench = ["bench", "--data", f"tsv:{tmp_path}", "--model", own, "--out", out]
    run(*bench, "--attack", "noise:norm=snr,db=40")
    (cell,) = (out / "cells").iterdir()
    row = json.loads(cell.read_text())
    gain = audio.read(tmp_path / "a.wav").gain
    assert row.get("gain_db", 0) == pytest.approx(20 * np.log10(gain), abs=0.01)
    assert row["snr_db"] == pytest.approx(40, abs=0.1)
    peak = float(np.abs(speech()).max()) * 10 ** (level / 20) * gain
    assert float(row["benign"]) == pytest.approx(peak, rel=0.01)  # neither clipped nor lost


@pytest.mark.parametrize("level", [-60, 0, 30])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_encoded_answers_keep_it(level: int, kind: str, tmp_path: Path) -> None:
    wave = written(tmp_path / "a.wav", level)
    found = audio.read(tmp_path / "a.wav")
    content = audio.encode(found.audio, kind, found.gain)
    left = kept_gain(kind, found.gain)
    assert (left == 1) == (kind == "wav" or level == 0)
    assert snr(wave * left, soundfile.read(io.BytesIO(content))[0]) > 50


def test_what_flac_cannot_hold_is_said(tmp_path: Path) -> None:
    written(tmp_path / "a.wav", 30)
    found = audio.read(tmp_path / "a.wav")
    with pytest.warns(AudioWarning, match=r"written \d+ dB quieter than its source"):
        audio.save(tmp_path / "b.flac", found.audio, found.gain)
    written(tmp_path / "a.wav", -39)
    found = audio.read(tmp_path / "a.wav")
    assert found.gain > 1
    audio.save(tmp_path / "b.flac", found.audio, found.gain)
    assert np.array_equal(
        soundfile.read(tmp_path / "b.flac", dtype="float32")[0],
        found.audio.quantized().wav[0].numpy() / found.gain,
    )


@pytest.mark.parametrize("coding", ["PCM_U8", "PCM_16", "ULAW"])
def test_recordings_of_16_bits_or_less_are_as_they_are(coding: str, tmp_path: Path) -> None:
    written(tmp_path / "a.wav", -50, coding)
    assert audio.read(tmp_path / "a.wav").gain == 1


def test_quiet_recordings_of_16_bits_at_another_rate_have_more_once_they_are_read(
    tmp_path: Path,
) -> None:
    written(tmp_path / "a.wav", -60, "PCM_16")
    assert audio.read(tmp_path / "a.wav").gain == 1
    assert audio.read(tmp_path / "a.wav", rate=8_000).gain > 1  # as docs/audio.md says


def test_silence_and_a_peak_of_one_are_as_they_are(tmp_path: Path) -> None:
    for wave in (np.zeros(1_000), speech() / np.abs(speech()).max()):
        soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
        assert audio.read(tmp_path / "a.wav").gain == 1


def test_a_corpus_tells_the_gain(tmp_path: Path) -> None:
    written(tmp_path / "a.wav", 30)
    (tmp_path / "transcripts.tsv").write_text("id\ttext\tpath\nu1\tGO\ta.wav\n")
    (cut,) = data.load(f"tsv:{tmp_path}")
    found = data.recording(cut)
    assert found.gain < 1
    assert torch.equal(data.read([cut]).wav, found.audio.wav)
    assert isinstance(found.audio, Audio)


def test_faint_speech_on_a_large_offset_is_kept_or_refused(tmp_path: Path) -> None:
    for offset, scale in ((0.02, 1.0), (-0.95, 0.3)):
        wave = offset + scale * speech()
        soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="DOUBLE")
        found = audio.read(tmp_path / "a.wav")
        kept = found.audio.quantized().wav[0].numpy() / found.gain
        assert snr(wave - wave.mean(), wave - wave.mean() - (wave - kept)) > 50
    soundfile.write(tmp_path / "a.wav", 0.9 + 0.001 * speech(), 16_000, subtype="DOUBLE")
    with pytest.raises(audio.AudioError, match="cannot hold both its speech and its offset of"):
        audio.read(tmp_path / "a.wav")
    soundfile.write(tmp_path / "a.wav", np.full(16_000, 0.3), 16_000, subtype="DOUBLE")
    assert audio.read(tmp_path / "a.wav").gain == 1  # nothing but an offset

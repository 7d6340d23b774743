"""The routes, as a client sees them."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from fastapi.testclient import TestClient

from melmoat import audio, data, models
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.server import Limits, create_app

SPEECH = data.read(list(data.load("demo"))[:1])
WAV = audio.encode(SPEECH, "wav")


@pytest.fixture(scope="module")
def plain() -> Iterator[TestClient]:
    """No defense, a recognizer."""
    with TestClient(create_app("none", "ds2-an4", Limits(longest=20, megabytes=1))) as client:
        yield client


def sent(content: bytes, name: str = "a.wav") -> dict[str, tuple[str, bytes]]:
    return {"file": (name, content)}


def wave_of(content: bytes) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(content), dtype="float32")
    assert rate == 16_000
    return samples  # type: ignore[no-any-return]


def test_a_transcript_is_that_of_the_recognizer(plain: TestClient) -> None:
    expected = models.load("ds2-an4").transcribe(SPEECH, Draws([0]))
    answer = plain.post("/v1/audio/transcriptions", files=sent(WAV), data={"model": "whisper-1"})
    assert (answer.status_code, answer.json()) == (200, {"text": expected[0]})
    answer = plain.post(
        "/v1/audio/transcriptions", files=sent(WAV), data={"response_format": "text"}
    )
    assert answer.text == expected[0] + "\n"


@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_without_a_defense_the_recording_comes_back(plain: TestClient, kind: str) -> None:
    answer = plain.post("/defend", files=sent(WAV), data={"format": kind})
    assert answer.headers["content-type"] == f"audio/{kind}"
    assert np.array_equal(wave_of(answer.content), SPEECH.wav[0].numpy())


def test_what_is_served_is_told_and_counted(plain: TestClient) -> None:
    assert plain.get("/health").json()["model"] == "ds2-an4"
    plain.post("/defend", files=sent(WAV))
    plain.post("/defend", files=sent(b""))
    plain.get("/nothing")
    text = plain.get("/metrics").text
    assert 'melmoat_requests_total{route="/defend",status="422"}' in text
    assert 'melmoat_requests_total{route="none",status="404"} 1.0' in text
    seconds = float(SPEECH.seconds)
    counted = [
        float(line.split()[1])
        for line in text.splitlines()
        if line.startswith('melmoat_audio_seconds_total{work="defend"}')
    ]
    assert counted[0] / seconds == pytest.approx(round(counted[0] / seconds), abs=1e-3)
    assert counted[0] >= seconds


def stereo_of_other_rate() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.full((44_100, 2), 0.1), 44_100, format="ogg")
    return file.getvalue()


def test_other_rates_and_channels_are_taken(plain: TestClient) -> None:
    answer = plain.post("/defend", files=sent(stereo_of_other_rate(), "a.ogg"))
    assert len(wave_of(answer.content)) == 16_000


def wav(samples: np.ndarray, subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="wav", subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "message"),
    [
        (b"", 422, "a.wav: the file is empty"),
        (b"no audio", 422, "a.wav: not readable as audio"),
        (WAV[: len(WAV) // 2], 422, "a.wav: the file is cut short"),
        (wav(np.zeros(1)), 422, "1 sample(s), which is not a recording"),
        (wav(np.full(100, np.nan)), 422, "contains NaN or Inf"),
        (wav(np.zeros(21 * 16_000), "PCM_U8"), 422, "21 s of audio, of which 20 s are taken"),
        (b"x" * 1_000_001, 413, "more than 1 MB"),
    ],
    ids=["empty", "no-audio", "cut", "one-sample", "nan", "long", "large"],
)
def test_bad_input_is_refused_with_the_reason(
    plain: TestClient, content: bytes, status: int, message: str
) -> None:
    for route in ("/defend", "/v1/audio/transcriptions"):
        answer = plain.post(route, files=sent(content))
        assert answer.status_code == status
        assert message in answer.json()["error"]["message"]


def test_a_body_of_undeclared_length_is_bounded_too(plain: TestClient) -> None:
    def parts() -> Iterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(20):
            yield b"x" * 100_000

    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = plain.post("/defend", content=parts(), headers=kind)
    assert answer.status_code == 413
    assert "more than 1 MB" in answer.json()["error"]["message"]


def test_a_missing_file_and_an_unknown_format_are_told(plain: TestClient) -> None:
    assert plain.post("/defend").json() == {"error": {"message": "file: Field required"}}
    answer = plain.post("/defend", files=sent(WAV), data={"format": "mp3"})
    assert answer.json()["error"]["message"].startswith("format: Input should be 'wav' or 'flac'")
    assert plain.get("/defend").status_code == 405


def test_noise_is_another_at_each_call() -> None:
    with TestClient(create_app("wgn:snr=20")) as client:
        waves = [wave_of(client.post("/defend", files=sent(WAV)).content) for _ in range(2)]
        assert not np.array_equal(*waves)
        for wave in waves:
            ratio = SPEECH.wav[0].norm() / (torch.from_numpy(wave) - SPEECH.wav[0]).norm()
            assert 20 * float(torch.log10(ratio)) == pytest.approx(20, abs=0.5)
        answer = client.post("/v1/audio/transcriptions", files=sent(WAV))
        assert answer.status_code == 404
        assert "start with --model" in answer.json()["error"]["message"]


def test_many_at_once_each_get_their_own(plain: TestClient) -> None:
    model, cuts = models.load("ds2-an4"), list(data.load("demo"))[:8]
    recordings = [data.read([cut]) for cut in cuts]
    expected = [model.transcribe(one, Draws([0]))[0] for one in recordings]
    found: dict[int, str] = {}

    def ask(i: int) -> None:
        files = sent(audio.encode(recordings[i], "flac"))
        found[i] = plain.post("/v1/audio/transcriptions", files=files).json()["text"]

    threads = [threading.Thread(target=ask, args=[i]) for i in range(len(recordings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(recordings))] == expected
    assert len(set(expected)) == len(expected)


def test_a_defense_that_needs_a_recognizer_says_so() -> None:
    with pytest.raises(
        MelmoatError, match="rs:votes=2 is no function of audio: serve it with a --model"
    ):
        create_app("rs:votes=2")
    with TestClient(create_app("rs:votes=2", "ds2-an4")) as client:
        answer = client.post("/v1/audio/transcriptions", files=sent(WAV))
        assert answer.status_code == 200
        answer = client.post("/defend", files=sent(WAV))
        assert answer.status_code == 404
        assert "no function of audio" in answer.json()["error"]["message"]


def test_the_command_serves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "melmoat", "serve", "--defense", "none", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = next(line.split()[-5] for line in process.stderr if "running on" in line)
        deadline = time.monotonic() + 30
        with urllib.request.urlopen(f"{address}/health", timeout=deadline - time.monotonic()) as x:
            assert b'"defense":"none"' in x.read()
    finally:
        process.terminate()
        process.communicate(timeout=30)

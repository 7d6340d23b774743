"""The routes, as a client sees them."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
import soundfile
import torch
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from melmoat import audio, data, models
from melmoat.audio import Audio
from melmoat.cli.app import app
from melmoat.decoding import decode
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.server import Limits, create_app
from tests.server.serving import until

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
    told = plain.get("/nothing").json()["error"]["message"]
    assert told.startswith("no GET /nothing here; docs/serving.md lists the routes")
    text = plain.get("/metrics").text
    assert 'melmoat_requests_total{route="/defend",status="422"}' in text
    assert 'melmoat_requests_total{route="none",status="404"} 1.0' in text
    assert 'melmoat_request_seconds_count{route="/defend"}' in text
    assert plain.head("/health").status_code == 200
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
        (wav(np.zeros(21 * 16_000), "PCM_U8"), 422, "21.0 s of audio, of which 20 s are taken"),
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
    for wrong in ({}, {"data": {"file": "call.wav"}}):
        answer = plain.post("/defend", **wrong)  # type: ignore[arg-type]
        assert "file: send the recording as a multipart field: curl -F" in answer.text
    answer = plain.post("/defend", files=sent(WAV), data={"format": "mp3"})
    assert answer.json()["error"]["message"].startswith("format: Input should be 'wav' or 'flac'")
    assert plain.get("/defend").status_code == 405


def test_noise_is_another_at_each_call() -> None:
    with TestClient(create_app("wgn:snr=20,level=file")) as client:
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

    threads = [Thread(target=ask, args=[i]) for i in range(len(recordings))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[i] for i in range(len(recordings))] == expected
    assert len(set(expected)) == len(expected)


def test_a_defense_that_needs_a_recognizer_says_so() -> None:
    with pytest.raises(
        MelmoatError, match="rs:votes=2 is not a function of audio: serve it with a --model"
    ):
        create_app("rs:votes=2")
    with TestClient(create_app("rs:votes=2", "ds2-an4")) as client:
        answer = client.post("/v1/audio/transcriptions", files=sent(WAV))
        assert answer.status_code == 200
        answer = client.post("/defend", files=sent(WAV))
        assert answer.status_code == 404
        assert "not a function of audio" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("rate", "channels", "message"),
    [
        (655_350, 8, "655350 samples a second, where 2000 to 192000 are taken"),
        (48_000, 9, "9 channels, where 8 are taken"),
    ],
)
def test_what_no_recording_of_speech_has_is_refused_at_once(
    plain: TestClient, rate: int, channels: int, message: str
) -> None:
    file = io.BytesIO()
    kind = "flac" if channels <= 8 else "wav"
    soundfile.write(file, np.zeros((rate // 10, channels), np.int16), rate, format=kind)
    answer = plain.post("/defend", files=sent(file.getvalue()))
    assert answer.status_code == 422
    assert message in answer.json()["error"]["message"]


def test_a_file_that_does_not_say_how_long_it_is_is_heard_whole(plain: TestClient) -> None:
    content = bytearray(audio.encode(SPEECH, "flac"))
    content[21] &= 0xF0  # as an encoder leaves it that writes into a pipe
    content[22:26] = bytes(4)
    answer = plain.post("/defend", files=sent(bytes(content), "a.flac"))
    assert np.array_equal(wave_of(answer.content), SPEECH.wav[0].numpy())


def test_channels_that_cancel_are_told_and_one_of_them_can_be_chosen(plain: TestClient) -> None:
    left = SPEECH.wav[0].numpy()
    content = wav(np.stack([left, -left], 1))
    assert "cancel" in plain.post("/defend", files=sent(content)).headers["x-melmoat-note"]
    answer = plain.post("/defend", files=sent(content), data={"channel": "1"})
    assert np.array_equal(wave_of(answer.content), -left)
    assert "x-melmoat-note" not in answer.headers
    answer = plain.post("/defend", files=sent(content), data={"channel": "2"})
    assert answer.status_code == 422
    answer = plain.post("/defend", files=sent(content), data={"channel": "left"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "channel")


def test_a_level_that_16_bits_cannot_hold_comes_back_or_is_told(plain: TestClient) -> None:
    loud = 40 * SPEECH.wav[0].numpy()
    answer = plain.post("/defend", files=sent(wav(loud)), data={"format": "wav"})
    back = wave_of(answer.content)
    assert np.abs(back - loud).max() < 1e-3 * np.abs(loud).max()
    assert "x-melmoat-note" not in answer.headers
    answer = plain.post("/defend", files=sent(wav(loud)), data={"format": "flac"})
    assert "dB, since flac cannot hold its level" in answer.headers["x-melmoat-note"]


def test_small_files_of_many_channels_are_decoded_in_blocks() -> None:
    file = io.BytesIO()
    soundfile.write(file, np.zeros((655_350 * 5, 8), np.int16), 655_350, format="flac")
    assert len(file.getvalue()) < 100_000
    tracemalloc.start()
    found = decode(io.BytesIO(file.getvalue()), "a.flac", longest=20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.samples.shape == (655_350 * 5,)
    assert peak < 655_350 * 5 * 8 * 4 / 2


OWN = """
import time
from melmoat.defenses import FrontEnd

class Slow(FrontEnd):
    def __call__(self, audio, draws):
        time.sleep(2 if audio.wav.shape[1] == 32_000 else 0)  # of 2 s; the trial run has 1 s
        return audio

class Cutting(FrontEnd):
    def __call__(self, audio, draws):
        return audio if len(audio.wav[0]) == 16_000 else audio.__class__.of([audio.wav[0, 1:]])

class Breaking(FrontEnd):
    def __call__(self, audio, draws):
        return audio.with_wav(audio.wav / (1 if len(audio.wav[0]) == 16_000 else 0))
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_serving.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("own_serving", None)


@pytest.mark.parametrize("name", ["Cutting", "Breaking"])
def test_a_faulty_defense_is_the_servers_fault(
    own: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(f"python:own_serving:{name}")
    with TestClient(app, raise_server_exceptions=False) as client:
        answer = client.post("/defend", files=sent(WAV))
        assert answer.status_code == 500
        assert answer.json()["error"]["message"] == "the server failed; its log says why"
        assert answer.json()["error"]["type"] == "server_error"
    failed = next(one for one in caplog.records if one.exc_info)
    assert answer.headers["x-request-id"] in failed.message
    assert re.search(r"changed an ut|NaN or Inf", caplog.text)


def test_recordings_that_wait_are_transcribed_together() -> None:
    short = [audio.encode(Audio.of([0.1 * torch.randn(8_000)]), "wav") for _ in range(12)]
    with TestClient(create_app("none", "ds2-an4", Limits(batch=4))) as client:
        send = partial(client.post, "/v1/audio/transcriptions")
        threads = [Thread(target=send, kwargs={"files": sent(one)}) for one in short]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        text = client.get("/metrics").text
    (batches,) = re.findall(r'melmoat_batch_recordings_count{work="transcribe"} (\S+)', text)
    (recordings,) = re.findall(r'melmoat_batch_recordings_sum{work="transcribe"} (\S+)', text)
    assert float(recordings) == 12
    assert 3 <= float(batches) < 12


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--language", "fr"], "--language is of a --model"),
        (["--language", "fr", "--upstream", "http://127.0.0.1:1/v1"], "--language is of a --model"),
        (["--ssl-keyfile", "key.pem"], "--ssl-keyfile is the key of --ssl-certfile"),
    ],
)
def test_an_option_without_what_it_is_for_is_refused(words: list[str], said: str) -> None:
    with pytest.raises(MelmoatError, match=said):
        CliRunner().invoke(app, ["serve", "--defense", "none", *words], catch_exceptions=False)


class Running:
    """A server in a process of its own."""

    def __init__(self, *words: str) -> None:
        command = [sys.executable, "-m", "melmoat", "serve", "--port", "0", *words]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        said = next(line for line in self.process.stderr if "running on" in line)
        self.address = re.findall(r"http://\S+", said)[0]

    def post(self, seconds: float, timeout: float = 60) -> httpx.Response:
        files = sent(audio.encode(Audio.of([torch.zeros(int(16_000 * seconds))]), "wav"))
        return httpx.post(f"{self.address}/defend", files=files, timeout=timeout)

    def metrics(self) -> str:
        return httpx.get(f"{self.address}/metrics", timeout=60).text

    def holds(self, requests: int) -> None:
        """Wait until so many are between their body and their answer."""
        until(lambda: f"melmoat_taken {requests}.0" in self.metrics())


@pytest.mark.slow
def test_a_running_server_keeps_its_word(own: Path) -> None:
    server = Running("--defense", "python:own_serving:Slow", "--waiting", "3")
    try:
        assert httpx.get(f"{server.address}/health", timeout=60).json()["model"] is None
        with ThreadPoolExecutor() as pool:
            # One is computed for 2 s, and two that wait leave.
            computed = pool.submit(server.post, 2)
            server.holds(1)
            gone = [pool.submit(server.post, 2, 1) for _ in range(2)]
            server.holds(3)
            refused = server.post(1)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            for one in gone:
                with pytest.raises(httpx.ReadTimeout):
                    one.result()
            assert computed.result().status_code == 200
            assert server.post(1).status_code == 200
            text = server.metrics()
            assert 'melmoat_requests_total{route="/defend",status="499"} 2.0' in text
            assert 'melmoat_audio_seconds_total{work="defend"} 3.0' in text
            # Told to end, it still answers one that is computed and one that waits.
            last = [pool.submit(server.post, 2) for _ in range(2)]
            server.holds(2)
            server.process.terminate()
            assert [one.result().status_code for one in last] == [200, 200]
            assert server.process.wait(timeout=30) is not None
    finally:
        server.process.kill()
        server.process.communicate()


@pytest.mark.parametrize("level", [-60, 0, 30])
@pytest.mark.parametrize("kind", ["wav", "flac"])
def test_the_level_comes_back(plain: TestClient, level: int, kind: str) -> None:
    t = np.arange(16_000) / 16_000
    wave = 0.2 * np.sin(2 * np.pi * 440 * t) * 10 ** (level / 20)
    file = io.BytesIO()
    soundfile.write(file, wave, 16_000, format="wav", subtype="FLOAT")
    answer = plain.post("/defend", files=sent(file.getvalue()), data={"format": kind})
    found = soundfile.read(io.BytesIO(answer.content))[0]
    note = answer.headers.get("X-Melmoat-Note", "")
    assert ("flac cannot hold its level" in note) == (kind == "flac" and level != 0)
    left = 10 ** (float(note.partition(" dB")[0]) / 20) if note else 1.0
    apart = np.square(wave - found / left).sum() / np.square(wave).sum()
    assert apart < (1e-2 if note else 1e-5)  # a note tells whole decibels

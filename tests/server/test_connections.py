"""Clients that are slow, silent or many keep nobody else from an answer. Over real sockets."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator

import httpx
import numpy as np
import pytest
import soundfile
import torch

from melmoat import audio
from melmoat.audio import Audio
from melmoat.server import Limits, create_app
from tests.server.serving import Served, form, head, rest, served, until

SECOND = audio.encode(Audio.of([0.1 * torch.ones(16_000)]), "wav")


def defended(one: Served, content: bytes = SECOND) -> httpx.Response:
    return httpx.post(f"{one.address}/defend", files={"file": ("a.wav", content)}, timeout=20)


def figure(one: Served, name: str) -> float:
    lines = httpx.get(f"{one.address}/metrics", timeout=20).text.splitlines()
    return float(next(line for line in lines if line.startswith(f"melmoat_{name} ")).split()[1])


@pytest.fixture(scope="module")
def patient() -> Iterator[Served]:
    """Two requests at once; its clients have time."""
    limits = Limits(waiting=2, idle=60, upload=60, connections=40, each=40)
    with served(create_app("none", limits=limits), limits) as one:
        yield one


@pytest.fixture(autouse=True)
def _hung_up(patient: Served, strict: Served) -> Iterator[None]:
    yield
    patient.hang_up()
    strict.hang_up()


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    limits = Limits(idle=0.3, upload=1)
    with served(create_app("none", limits=limits), limits) as one:
        yield one


def test_uploads_that_never_come_take_no_place(patient: Served) -> None:
    for _ in range(20):
        patient.connect(head(100_000) + form(b"")[:30])
    until(lambda: figure(patient, "uploads") == 20)
    assert figure(patient, "taken") == 0
    assert defended(patient).status_code == 200
    patient.hang_up()
    until(lambda: figure(patient, "uploads") == 0)


@pytest.mark.parametrize("sent", [b"", b"POST /defend HTTP/1.1\r\nHost: a\r\n", head(100)])
def test_more_connections_than_there_is_room_for_push_out_the_oldest(
    patient: Served, sent: bytes
) -> None:
    sockets = [patient.connect(sent) for _ in range(100)]
    assert defended(patient).status_code == 200
    assert figure(patient, "connections") <= 40
    assert rest(sockets[0]) == b"", "the first gave way"


def test_a_request_that_is_complete_is_not_pushed_out(patient: Served) -> None:
    """Its answer is the one that it would have got alone, however many come meanwhile."""
    body = form(SECOND)
    asking = patient.connect(head(len(body)) + body)
    for _ in range(100):
        patient.connect()
    assert asking.recv(12) == b"HTTP/1.1 200"


def test_a_head_that_does_not_end_is_cut_off(strict: Served) -> None:
    began = time.monotonic()
    dripping = strict.connect(b"GET /health HTTP/1.1\r\n")
    silent = strict.connect()
    assert rest(dripping) == rest(silent) == b""
    assert 0.25 < time.monotonic() - began < 5


def test_a_head_that_drips_has_no_more_time(strict: Served) -> None:
    dripping, ended, began = strict.connect(), False, time.monotonic()
    while not ended and time.monotonic() < began + 5:
        try:
            dripping.sendall(b"X")
            time.sleep(0.05)
        except (BrokenPipeError, ConnectionResetError):
            ended = True
    assert ended


def test_a_body_that_pauses_or_drips_is_told_so(strict: Served) -> None:
    began = time.monotonic()
    pausing = strict.connect(head(1000) + form(b"")[:20])
    answer = rest(pausing)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"without a pause of 0.3 s" in answer
    assert time.monotonic() - began < 0.95
    dripping, began = strict.connect(head(100_000) + form(b"")[:60]), time.monotonic()
    dripping.settimeout(0.1)
    answer = b""
    while not answer and time.monotonic() < began + 5:
        dripping.sendall(b"x")
        with contextlib.suppress(TimeoutError):
            answer = dripping.recv(1000)
    assert answer.startswith(b"HTTP/1.1 408")
    assert 0.9 < time.monotonic() - began < 5


def test_a_client_that_does_not_read_its_answer_is_cut_off(strict: Served) -> None:
    """Many answers asked for, each of megabytes, so that they stand in no buffer of the system."""
    long = audio.encode(Audio.of([torch.zeros(16_000 * 55)]), "wav")
    body = form(long) + b""
    before = figure(strict, "connections_closed")
    wav = form(b"wav", 'name="format"')[: -len(b"--b--\r\n")] + body
    deaf = strict.connect()
    for _ in range(6):
        try:
            deaf.sendall(head(len(wav)) + wav)
        except OSError:
            break
    until(lambda: figure(strict, "connections_closed") > before)


@pytest.mark.slow
def test_over_its_limit_of_open_files_it_still_answers_and_its_log_is_short() -> None:
    script = """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
        from melmoat.cli import main
        main()
    """
    command = [sys.executable, "-c", textwrap.dedent(script), "serve", "--port", "0"]
    command += ["--defense", "none"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = next(line for line in process.stderr if "running on" in line)
        one = Served(int(said.split("127.0.0.1:")[1].split()[0]))
        for _ in range(400):
            one.connect()
        assert defended(one).status_code == 200
        one.hang_up()
        process.terminate()
        log = process.stderr.read()
        assert len(log) < 4000
        assert "Traceback" not in log
        assert "it had waited longest" in log
    finally:
        process.kill()
        process.communicate()


def test_the_answer_is_that_of_a_lone_client(patient: Served) -> None:
    for _ in range(60):
        patient.connect(head(10_000))
    samples, _ = audio_of(defended(patient).content)
    assert np.allclose(samples, 0.1, atol=1e-4)


def audio_of(content: bytes) -> tuple[np.ndarray, int]:
    return soundfile.read(io.BytesIO(content))  # type: ignore[no-any-return]

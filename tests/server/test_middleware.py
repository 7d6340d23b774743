"""Overload, a full disk, names of hosts, the end, and what the log says of it all."""

from __future__ import annotations

import logging
import re
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import torch
from fastapi.testclient import TestClient

from melmoat import audio
from melmoat.audio import Audio
from melmoat.server import Limits, create_app
from melmoat.server.access import client_of
from tests.server.serving import Served, served, until

SLOW = """
import threading
from melmoat.defenses import FrontEnd

gate, begun = threading.Event(), threading.Event()

class Gated(FrontEnd):
    def __call__(self, audio, draws):
        if audio.wav.shape[1] != 16_000:  # not the trial run
            begun.set()
            assert gate.wait(30)
        return audio
"""


@pytest.fixture
def gated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "own_gated.py").write_text(SLOW)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    if module := sys.modules.pop("own_gated", None):
        module.gate.set()


def recording(seconds: float) -> bytes:
    return audio.encode(Audio.of([0.1 * torch.ones(int(16_000 * seconds))]), "wav")


def post(one: Served, seconds: float, **headers: str) -> httpx.Response:
    files = {"file": ("a.wav", recording(seconds))}
    return httpx.post(f"{one.address}/defend", files=files, headers=headers, timeout=60)


def waiting(one: Served, count: int) -> None:
    line = f'melmoat_waiting{{work="defend"}} {count}.0'
    until(lambda: line in httpx.get(f"{one.address}/metrics", timeout=20).text)


def test_where_too_much_work_waits_one_is_told_when_to_come_again(gated: Path) -> None:
    limits = Limits(queue=20, waiting=5)
    app = create_app("python:own_gated:Gated", limits=limits)
    pace = app.state.service._batchers[0]._pace
    pace.audio, pace.work = 1.0, 2.0  # two seconds of work for a second of audio
    with served(app, limits) as one, ThreadPoolExecutor() as pool:
        asked = [pool.submit(post, one, 3)]
        until(sys.modules["own_gated"].begun.is_set)
        asked.append(pool.submit(post, one, 10))
        waiting(one, 1)
        # Before another of 20 s stand what is left of 3 s and then 10 s of audio, twice as long.
        refused = post(one, 20)
        assert refused.status_code == 503
        assert 20 < int(refused.headers["retry-after"]) <= 26
        assert "s of work are already waiting; come again in" in refused.json()["error"]["message"]
        # A short one has its turn before the one of 10 s, so it may wait.
        asked += [pool.submit(post, one, 0.5) for _ in range(3)]
        waiting(one, 4)
        full = post(one, 0.5)
        assert full.status_code == 503
        assert full.json()["error"]["message"].startswith("5 requests are already waiting")
        assert 20 < int(full.headers["retry-after"]) <= 29
        sys.modules["own_gated"].gate.set()
        assert [each.result().status_code for each in asked] == [200] * 5


def test_no_client_takes_more_places_than_its_share(gated: Path) -> None:
    limits = Limits(waiting=4, waiting_each=2)
    keys = [letter * 20 for letter in "abc"]
    headers = [{"Authorization": f"Bearer {key}"} for key in keys]
    app = create_app("python:own_gated:Gated", limits=limits, keys=keys)
    with served(app, limits) as one, ThreadPoolExecutor() as pool:
        asked = [pool.submit(post, one, 3, **headers[0]) for _ in range(2)]
        taken = "melmoat_taken 2.0"
        until(lambda: taken in httpx.get(f"{one.address}/metrics", headers=headers[0]).text)
        refused = post(one, 1, **headers[0])
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) >= 1
        error = refused.json()["error"]
        assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
        assert error["message"].startswith("2 of your requests are already waiting; come again in")
        asked += [pool.submit(post, one, 3, **headers[1]) for _ in range(2)]
        taken = "melmoat_taken 4.0"
        until(lambda: taken in httpx.get(f"{one.address}/metrics", headers=headers[0]).text)
        assert post(one, 1, **headers[2]).status_code == 503, "the server is full for everyone"
        sys.modules["own_gated"].gate.set()
        assert [each.result().status_code for each in asked] == [200] * 4
        assert post(one, 1, **headers[0]).status_code == 200


def test_without_keys_a_client_is_an_address() -> None:
    def of(host: str | None, **state: str) -> str:
        return client_of({"client": (host, 1) if host else None, "state": state})

    assert of("192.0.2.1") != of("192.0.2.2")
    assert of("2001:db8::1") == of("2001:db8::ffff:1") != of("2001:db8:0:1::1")
    assert of("192.0.2.1", client="key 1") == of("192.0.2.2", client="key 1")
    assert of("::ffff:192.0.2.1") == of("192.0.2.1") != of("::ffff:192.0.2.2")
    assert of(None) == of(None)


def test_what_takes_too_long_is_a_504_and_readiness_tells_of_a_full_queue(gated: Path) -> None:
    limits = Limits(deadline=2, waiting=1)
    with (
        served(create_app("python:own_gated:Gated", limits=limits), limits) as one,
        ThreadPoolExecutor() as pool,
    ):
        assert httpx.get(f"{one.address}/ready", timeout=20).json() == {"ready": True}
        until(lambda: post(one, 1).status_code == 200)  # the decoder has started
        late = pool.submit(post, one, 2)
        until(sys.modules["own_gated"].begun.is_set)
        full = httpx.get(f"{one.address}/ready", timeout=20)
        assert full.status_code == 503
        assert int(full.headers["retry-after"]) >= 1
        assert httpx.get(f"{one.address}/health", timeout=20).status_code == 200
        answer = late.result()
        assert answer.status_code == 504
        assert answer.json()["error"]["code"] == "timeout"
        assert httpx.get(f"{one.address}/ready", timeout=20).status_code == 200
        waits = pool.submit(post, one, 3)
        waiting(one, 1)
        text = httpx.get(f"{one.address}/metrics", timeout=20).text
        (age,) = re.findall(r"^melmoat_queue_age_seconds (\S+)", text, re.MULTILINE)
        assert 0 < float(age) < 5
        assert "melmoat_decoding 0.0" in text
        assert waits.result().status_code == 504
        waiting(one, 0)
        sys.modules["own_gated"].gate.set()


def test_past_the_grace_period_each_is_told_and_nothing_fails(
    gated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = Limits()
    with ThreadPoolExecutor() as pool:
        with served(create_app("python:own_gated:Gated", limits=limits), limits, grace=1) as one:
            asked = [pool.submit(post, one, 2) for _ in range(3)]
            until(sys.modules["own_gated"].begun.is_set)
            waiting(one, 2)
            # The thread that computes ends when its work is done.
            threading.Timer(2, sys.modules["own_gated"].gate.set).start()
        answers = [each.result() for each in asked]
    assert [answer.status_code for answer in answers] == [503] * 3
    assert answers[0].json()["error"]["message"].startswith("the server is closing")
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk here")
def test_a_full_disk_is_told_and_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with TestClient(create_app("none")) as client:
        full = lambda **_: open("/dev/full", "r+b", buffering=0)  # noqa: E731, PTH123, SIM115
        with monkeypatch.context() as disk:
            disk.setattr(tempfile, "TemporaryFile", full)
            files = {"file": ("a.wav", bytes(2_000_000))}
            answer = client.post("/defend", files=files)
    assert answer.status_code == 507
    assert "No space left on device" in answer.json()["error"]["message"]
    assert "507" in caplog.text
    assert "No space left on device" in caplog.text


def test_each_answer_has_an_id_and_each_error_its_reason_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "melmoat.server")
    with TestClient(create_app("none")) as client:
        given = client.get("/health", headers={"X-Request-ID": "call-7"})
        assert given.headers["x-request-id"] == "call-7"
        for odd in ("a b", "x" * 101, "a\tb", "é".encode("latin-1")):
            made = client.get("/health", headers={"X-Request-ID": odd})
            assert re.fullmatch(r"[0-9a-f]{32}", made.headers["x-request-id"])
        files = {"file": ("a\r\nforged: line.wav", b"no audio")}
        wrong = client.post("/defend?a=%0Ab", files=files, headers={"X-Request-ID": "call-8"})
        assert wrong.status_code == 422
        client.get("/a%0Aforged")
    lines = [record.getMessage() for record in caplog.records]
    (line,) = [line for line in lines if line.startswith("call-8")]
    assert '"POST /defend" 422' in line
    assert "not readable as audio" in line
    assert not [line for line in lines if "\n" in line]
    assert [line for line in lines if line.startswith("call-7") and "200" in line]


def test_the_host_that_is_named_is_checked() -> None:
    with TestClient(create_app("none", hosts=["localhost", "127.0.0.1", "::1"])) as client:
        for host in ("localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
            assert client.get("/health", headers={"Host": host}).status_code == 200
        for host in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
            answer = client.get("/health", headers={"Host": host})
            assert answer.status_code == 400
            assert "--allowed-host" in answer.json()["error"]["message"]
            assert "x-request-id" in answer.headers
    with TestClient(create_app("none")) as client:
        assert client.get("/health", headers={"Host": "any.example"}).status_code == 200


def test_what_is_served_has_no_pages_about_itself() -> None:
    with TestClient(create_app("none")) as client:
        for route in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(route).status_code == 404


def test_short_recordings_pass_a_long_one(gated: Path) -> None:
    """All wait behind one that is computed; the long one came first and is answered last."""
    limits, order = Limits(), []
    with (
        served(create_app("python:own_gated:Gated", limits=limits), limits) as one,
        ThreadPoolExecutor() as pool,
    ):
        first = pool.submit(post, one, 2)
        until(sys.modules["own_gated"].begun.is_set)

        def noted(seconds: float) -> None:
            found = post(one, seconds)
            order.append(seconds)
            assert found.status_code == 200

        asked = [pool.submit(noted, 50.0)]
        waiting(one, 1)
        asked += [pool.submit(noted, seconds) for seconds in (1.5, 1.5)]
        waiting(one, 3)
        time.sleep(0.05)
        sys.modules["own_gated"].gate.set()
        first.result()
        for each in asked:
            each.result()
    assert order == [1.5, 1.5, 50.0]

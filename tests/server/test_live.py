"""Live audio over a WebSocket."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from melmoat.server import Limits, create_app
from melmoat.server.live import MESSAGE
from tests.server.serving import Served, served, until

KEY = "0123456789abcdef0123"
END = json.dumps({"type": "end"})
LIMITS = Limits(idle=1.5, stream_seconds=3, upload=1)


@pytest.fixture(scope="module")
def one() -> Iterator[Served]:
    """A moving average: three samples, so what comes out is known."""
    app = create_app("smooth:width=3", limits=LIMITS, origins=["https://calls.example"])
    with served(app, LIMITS) as found:
        yield found


def opened(one: Served, query: str = "", **how: Any) -> ClientConnection:
    address = one.address.replace("http:", "ws:")
    return connect(f"{address}/defend/stream{query}", **how)


def gauge(one: Served, name: str) -> float:
    text = httpx.get(f"{one.address}/metrics", timeout=20).text
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(name)))


def closed(live: ClientConnection) -> tuple[dict[str, Any], int, str]:
    """The error that comes, and the close frame's code and reason."""
    error = json.loads(live.recv(10))["error"]
    with pytest.raises(ConnectionClosed) as found:
        live.recv(10)
    assert found.value.rcvd is not None
    return error, found.value.rcvd.code, found.value.rcvd.reason


@pytest.mark.parametrize(("kind", "dtype"), [("pcm16", "<i2"), ("float32", "<f4")])
def test_samples_come_back_defended_as_the_whole_would(one: Served, kind: str, dtype: str) -> None:
    full = 32768 if kind == "pcm16" else 1
    wave = (full * np.random.default_rng(0).uniform(-0.9, 0.9, 8000)).astype(dtype)
    with opened(one, f"?rate=8000&format={kind}") as live:
        ready = json.loads(live.recv(10))
        assert (ready["rate"], ready["format"], ready["latency_samples"]) == (8000, kind, 1)
        assert ready["latency_seconds"] == 1 / 8000
        for part in np.split(wave, [1, 2, 3, 1000, 4000]):
            live.send(part.tobytes())
        live.send(END)
        heard = []
        while isinstance(message := live.recv(10), bytes):
            heard.append(message)
        assert json.loads(message) == {"type": "done", "samples": 8000}
        with pytest.raises(ConnectionClosed) as found:
            live.recv(10)
        assert found.value.rcvd is not None
        assert found.value.rcvd.code == 1000
    padded = np.pad(wave / np.float32(full), 1).astype(np.float32)
    expected = np.convolve(padded, np.ones(3) / 3, "valid") * full
    out = np.frombuffer(b"".join(heard), dtype)
    assert np.abs(out - expected).max() <= (0.51 if kind == "pcm16" else 1e-6)
    assert gauge(one, 'melmoat_audio_seconds_total{work="stream"}') >= 1


def test_what_a_client_may_not_do_ends_with_a_reason(one: Served) -> None:
    cases: list[tuple[bytes | str | None, int, str, str]] = [
        (None, 1008, "idle", "send silence"),
        (b"abc", 1003, "unsupported_message", "no whole number of float32 samples"),
        ("end", 1003, "unsupported_message", "binary messages"),
        (np.full(4, np.nan, "<f4").tobytes(), 1008, "unusable_audio", "zeros for silence"),
        (np.full(4, 32767, "<f4").tobytes(), 1008, "unusable_audio", "before you send them"),
    ]
    for sent, code, word, said in cases:
        with opened(one, "?format=float32") as live:
            live.recv(10)
            if sent is not None:
                live.send(sent)
            error, closing, reason = closed(live)
            assert (closing, json.loads(reason), error["code"]) == (code, {"code": word}, word)
            assert said in error["message"]
    with opened(one, "?rate=8000") as live:
        live.recv(10)
        live.send(bytes(65_538))
        with pytest.raises(ConnectionClosed) as found:
            live.recv(10)
        assert found.value.rcvd is not None
        assert found.value.rcvd.code == 1009
    with opened(one, "?rate=8000") as live:
        live.recv(10)
        live.send(bytes(48_000))
        live.recv(10)
        live.send(bytes(2))
        error, closing, reason = closed(live)
        assert "at most 3 s" in error["message"]
        assert json.loads(reason) == {"code": "too_long"}
    with opened(one) as live:  # and as much time
        live.recv(10)
        began = time.monotonic()
        until(lambda: not _sends(live), 10)
        assert time.monotonic() - began < 9
    with opened(one) as live:  # also for one whose next message always waits already
        live.recv(10)
        began = time.monotonic()
        while _takes_nothing(live) and time.monotonic() - began < 20:
            pass
        assert time.monotonic() - began < 9


def refused(one: Served, query: str = "", **how: Any) -> tuple[int, dict[str, Any], Any]:
    with pytest.raises(InvalidStatus) as found, opened(one, query, **how):
        pass
    answer = found.value.response
    return answer.status_code, json.loads(answer.body or b"")["error"], answer.headers


def test_what_cannot_be_served_is_refused_before_the_handshake(one: Served) -> None:
    for query, param in (("?rate=1", "rate"), ("?format=mp3", "format"), ("?a=1", "a")):
        status, error, headers = refused(one, query)
        assert (status, error["param"]) == (400, param)
        assert headers["x-request-id"]
    status, error, _ = refused(one, origin="https://evil.example")
    assert (status, error["code"]) == (403, "origin_not_allowed")
    with pytest.raises(InvalidStatus) as found, connect(f"ws{one.address[4:]}/defend/strem"):
        pass
    answer = found.value.response
    assert (answer.status_code, answer.headers["x-request-id"] != "") == (404, True)
    assert "live audio is at /defend/stream" in json.loads(answer.body or b"")["error"]["message"]
    with pytest.raises(InvalidStatus) as found, opened(one, additional_headers={"X": "x" * 9000}):
        pass
    assert found.value.response.status_code == 431
    for origin in ("https://calls.example", one.address):
        with opened(one, origin=origin) as live:
            live.recv(10)


def test_streams_have_places_and_leave_them(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(streams=2)
    with ExitStack() as held:
        with served(create_app("none", limits=limits), limits) as one:
            with opened(one) as first, opened(one) as second:
                first.recv(10)
                second.recv(10)
                assert gauge(one, "melmoat_streams ") == 2
                status, _, headers = refused(one)
                assert status == 503
                assert int(headers["retry-after"]) >= 1
            until(lambda: gauge(one, "melmoat_streams ") == 0)
            until(lambda: gauge(one, "melmoat_connections ") == 1)  # this one
            last = held.enter_context(opened(one))
            last.recv(10)
        with pytest.raises(ConnectionClosed) as found:  # the server has stopped
            last.recv(10)
        assert found.value.rcvd is not None
        assert found.value.rcvd.code == 1012
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_a_client_that_does_not_read_is_cut_off() -> None:
    limits = Limits(upload=1)
    with served(create_app("none", limits=limits), limits) as one:
        with opened(one, "?format=float32", max_queue=1) as live:
            pouring = threading.Thread(target=_pour, args=(live,))
            pouring.start()
            until(lambda: gauge(one, "melmoat_connections_closed ") == 1)
            pouring.join()
        until(lambda: gauge(one, "melmoat_streams ") == 0)


def test_a_key_is_needed_and_a_page_offers_it_as_a_subprotocol() -> None:
    app = create_app("wgn:sigma=0.1", keys=[KEY], limits=Limits(streams_each=1))
    with TestClient(app) as client:
        for given in ({}, {"Authorization": f"Bearer {KEY}x"}):
            with (
                pytest.raises(WebSocketDenialResponse) as found,
                client.websocket_connect("/defend/stream", headers=given),
            ):
                pass
            assert found.value.status_code == 401
        names = ["melmoat", f"api-key.{KEY}"]
        with client.websocket_connect("/defend/stream", subprotocols=names) as live:
            assert live.accepted_subprotocol == "melmoat"
            live.receive_json()
            header = {"Authorization": f"Bearer {KEY}"}
            with (
                pytest.raises(WebSocketDenialResponse) as found,
                client.websocket_connect("/defend/stream", headers=header),
            ):
                pass
            assert found.value.status_code == 429, "the same client, by its key"
            live.send_bytes(np.zeros(16_000, "<i2").tobytes())
            heard = np.frombuffer(live.receive_bytes(), "<i2") / 32768
            assert heard.std() == pytest.approx(0.1, rel=0.05)
            live.send_text(END)
            assert live.receive_json()["type"] == "done"
            with pytest.raises(WebSocketDisconnect):
                live.receive_bytes()


def test_a_defense_that_needs_the_whole_recording_is_refused() -> None:
    for spec, said in (("wgn", "wgn:sigma="), ("mdnf", "send 16000 Hz, not 8000 Hz")):
        with (
            TestClient(create_app(spec)) as client,
            pytest.raises(WebSocketDenialResponse) as found,
            client.websocket_connect("/defend/stream?rate=8000"),
        ):
            pass
        assert found.value.status_code == 400
        assert said in found.value.json()["error"]["message"]
    with (
        TestClient(create_app("rs", "ds2-an4")) as client,
        pytest.raises(WebSocketDenialResponse) as found,
        client.websocket_connect("/defend/stream"),
    ):
        pass
    assert found.value.status_code == 404


def test_the_log_has_the_code_with_which_a_stream_ended(
    one: Served, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "melmoat.server")

    def logged(*sent: bytes | str, left: int = 0) -> int:
        name = f"stream-{len(caplog.records)}"
        with opened(one, additional_headers={"X-Request-ID": name}) as live:
            live.recv(10)
            for message in sent:
                live.send(message)
            if left:
                live.close(left)
            with suppress(ConnectionClosed):
                while True:
                    live.recv(10)
        until(lambda: any(name in record.getMessage() for record in caplog.records))
        facts = [record.__dict__.get("facts", {}) for record in caplog.records]
        (status,) = [one["status"] for one in facts if one.get("request_id") == name]
        return status

    assert logged(END) == 1000
    assert logged(b"a") == 1003
    assert logged(bytes(MESSAGE + 2)) == 1009
    # while it still computes what came before
    assert logged(bytes(MESSAGE), bytes(MESSAGE + 2)) == 1009  # two of them would be too long
    assert logged(left=1009) == 101, "the client's own code"
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def _takes_nothing(live: ClientConnection) -> bool:
    try:
        live.send(b"")
    except ConnectionClosed:
        return False
    return True


def _sends(live: ClientConnection) -> bool:
    try:
        live.send(bytes(2))
        live.recv(0.2)
    except TimeoutError:
        return True
    except ConnectionClosed:
        return False
    time.sleep(0.1)
    return True


def _pour(live: ClientConnection) -> None:
    try:
        while True:
            live.send(bytes(MESSAGE))
    except (ConnectionClosed, OSError):
        return

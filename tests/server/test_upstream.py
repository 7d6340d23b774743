"""A front-end before another server: what it passes on, what it keeps, and what it says when the
other server fails."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from melmoat import audio, data, defenses, models
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.server import Limits, create_app
from melmoat.server.upstream import Upstream, key_in
from tests.server.serving import Served, served, until

ROUTE = "/v1/audio/transcriptions"
DEFENSE = "median:width=9"
SPEECH = data.read(list(data.load("demo"))[:1])
WAV = audio.encode(SPEECH, "wav")
DEFENDED = defenses.apply(defenses.front_end(DEFENSE), SPEECH, Draws([0]))
KEY, OTHER = "key-of-the-upstream-wxyz", "key-of-the-client-16"
DELTA = b'data: {"type": "transcript.text.delta", "delta": "a"}\n\n'
DONE = b'data: {"type": "transcript.text.done", "text": "a"}\n\n'


class Stub:
    """A server that does as the field ``prompt`` says, and remembers what came."""

    def __init__(self) -> None:
        self.forms: list[list[tuple[str, Any]]] = []
        self.requests: list[Request] = []
        self.gate, self.left = threading.Event(), threading.Event()

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if request.method == "GET":
            return JSONResponse({"path": request.url.path}, headers={"Set-Cookie": "who=a"})
        async with request.form() as form:
            file = form["file"]
            assert not isinstance(file, str)
            others = [(name, value) for name, value in form.multi_items() if name != "file"]
            self.forms.append([("file", await file.read()), *others])
        prompt = form.get("prompt")
        if prompt == "wait":
            while not self.gate.is_set() and not await request.is_disconnected():
                await asyncio.sleep(0.01)
            self.left.set()
        if prompt in ("stream", "break"):
            return StreamingResponse(self.events(prompt), media_type="text/event-stream")
        if prompt in ("401", "429", "500", "307"):
            return Response(
                f"no {KEY[-4:]}",
                int(prompt),
                {"Retry-After": "7", "Set-Cookie": "who=a", "Location": "/", "X-Inner": "secret"},
                "text/odd",
            )
        return JSONResponse({"text": "as it is", "words": [{"word": "as", "start": 0.1}]})

    async def events(self, prompt: str) -> AsyncIterator[bytes]:
        yield DELTA
        while not self.gate.is_set():
            await asyncio.sleep(0.01)
        if prompt == "break":
            raise RuntimeError("the stub breaks off")
        yield DONE


@contextmanager
def running(stub: Stub) -> Iterator[str]:
    app = Starlette(routes=[Route("/{path:path}", stub.__call__, methods=["GET", "POST"])])
    config = uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1/"
    finally:
        stub.gate.set()
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def behind() -> Iterator[tuple[Served, Stub]]:
    """A front-end, and the stub behind it."""
    stub, limits = Stub(), Limits(longest=20, deadline=30)
    with running(stub) as address:
        app = create_app(DEFENSE, limits=limits, keys=[OTHER], upstream=Upstream(address, KEY))
        with served(app, limits) as one:
            yield one, stub


@pytest.fixture
def one(behind: tuple[Served, Stub]) -> Served:
    return behind[0]


@pytest.fixture
def stub(behind: tuple[Served, Stub]) -> Stub:
    for event in (behind[1].gate, behind[1].left):
        event.clear()
    return behind[1]


def ask(one: Served, route: str = ROUTE, **fields: Any) -> httpx.Response:
    files = {"file": ("secret name.wav", WAV)}
    headers = {"Authorization": f"Bearer {OTHER}", "X-Request-ID": "call-7", "Cookie": "me=b"}
    return httpx.post(
        f"{one.address}{route}", files=files, data=fields, headers=headers, timeout=60
    )


def calls(one: Served) -> str:
    headers = {"Authorization": f"Bearer {OTHER}"}
    text = httpx.get(f"{one.address}/metrics", headers=headers, timeout=20).text
    return next(line for line in text.splitlines() if line.startswith("melmoat_upstream "))


def test_the_recording_is_defended_and_all_else_passes(one: Served, stub: Stub) -> None:
    fields = {
        "model": "a/b",
        "response_format": "verbose_json",
        "timestamp_granularities[]": ["word", "segment"],
        "prompt": "Zoë, \r\n & co",
        "temperature": "0.7",
        "vad_filter": "true",
    }
    for route in (ROUTE, "/v1/audio/translations"):
        answer = ask(one, route, **fields, channel="0")
        assert answer.json() == {"text": "as it is", "words": [{"word": "as", "start": 0.1}]}
        request = stub.requests[-1]
        assert request.url.path == route
        (_, wav), *rest = stub.forms[-1]
        assert rest == [
            ("model", "a/b"),
            ("response_format", "verbose_json"),
            ("timestamp_granularities[]", "word"),
            ("timestamp_granularities[]", "segment"),
            ("prompt", "Zoë, \r\n & co"),
            ("temperature", "0.7"),
            ("vad_filter", "true"),
        ]
        assert wav == audio.encode(DEFENDED, "wav") != WAV


def test_keys_and_cookies_stay_where_they_belong(one: Served, stub: Stub) -> None:
    headers = {"Authorization": f"Bearer {OTHER}"}
    listed = httpx.get(f"{one.address}/v1/models", headers=headers, timeout=20)
    assert listed.json() == {"path": "/v1/models"}
    named = httpx.get(f"{one.address}/v1/models/a/b%3F", headers=headers, timeout=20)
    assert named.json() == {"path": "/v1/models/a/b%3F"}
    answer = ask(one)
    got = stub.requests[-1].headers
    assert (got["authorization"], got["x-request-id"]) == (f"Bearer {KEY}", "call-7")
    assert answer.headers["x-request-id"] == "call-7"
    sent = str([request.headers.raw for request in stub.requests]) + str(stub.forms)
    for private in (OTHER, "me=b", "who=a", "secret name"):
        assert private not in sent
    for response in (listed, answer):
        assert KEY not in str(response.headers) + response.text
        assert "set-cookie" not in response.headers
    assert httpx.get(f"{one.address}/v1/models", timeout=20).status_code == 401


def test_no_path_of_a_model_leads_elsewhere(one: Served, stub: Stub) -> None:
    before = len(stub.requests)
    for path in ("%2e%2e/admin", "a/%2e%2e/%2e%2e/%2e%2e/admin"):
        request = f"GET /v1/models/{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        with one.connect(f"{request}Authorization: Bearer {OTHER}\r\n\r\n".encode()) as found:
            assert found.recv(20).startswith(b"HTTP/1.1 404")
    assert len(stub.requests) == before


@pytest.mark.parametrize(("prompt", "status"), [("429", 429), ("500", 500), ("401", 502)])
def test_errors_pass_except_about_the_key(one: Served, prompt: str, status: int) -> None:
    answer = ask(one, prompt=prompt)
    assert answer.status_code == status
    assert {"set-cookie", "location", "x-inner"}.isdisjoint(answer.headers)
    if status == 502:
        assert KEY[-4:] not in answer.text
        assert answer.json()["error"]["code"] == "upstream_broken"
    else:
        assert (answer.text, answer.headers["retry-after"]) == ("no " + KEY[-4:], "7")
        assert answer.headers["content-type"].startswith("text/odd")


def test_redirects_are_not_followed(one: Served, stub: Stub) -> None:
    before = len(stub.requests)
    assert ask(one, prompt="307").status_code == 502
    assert len(stub.requests) == before + 1


def test_what_would_pass_undefended_is_refused(one: Served, stub: Stub) -> None:
    before, headers = len(stub.requests), {"Authorization": f"Bearer {OTHER}"}
    for second in ("file", "audio"):
        files = [("file", ("a.wav", WAV)), (second, ("b.wav", WAV))]
        answer = httpx.post(f"{one.address}{ROUTE}", files=files, headers=headers, timeout=20)
        assert (answer.status_code, answer.json()["error"]["param"]) == (400, second)
    assert ask(one, ROUTE + "?language=de").status_code == 400
    assert ask(one, channel=["0", "1"]).status_code == 400
    broken = {"file": ("a.wav", b"no audio")}
    refused = httpx.post(f"{one.address}{ROUTE}", files=broken, headers=headers, timeout=20)
    assert refused.status_code == 422
    assert len(stub.requests) == before


def streamed(one: Served, prompt: str) -> Any:
    headers = {"Authorization": f"Bearer {OTHER}"}
    files, fields = {"file": ("a.wav", WAV)}, {"stream": "true", "prompt": prompt}
    url = f"{one.address}{ROUTE}"
    return httpx.stream("POST", url, files=files, data=fields, headers=headers, timeout=20)


def test_events_come_one_by_one_and_the_place_is_held(one: Served, stub: Stub) -> None:
    with streamed(one, "stream") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        parts = answer.iter_raw()
        assert next(parts) == DELTA  # the next one is not made yet
        assert calls(one) == "melmoat_upstream 1.0"
        stub.gate.set()
        assert b"".join(parts) == DONE
    until(lambda: calls(one) == "melmoat_upstream 0.0")


def test_a_broken_stream_ends_with_an_error(one: Served, stub: Stub) -> None:
    with streamed(one, "break") as answer:
        parts = answer.iter_raw()
        assert next(parts) == DELTA
        stub.gate.set()
        assert b"upstream_broken" in b"".join(parts)


def test_a_client_that_leaves_ends_the_upstream_call(one: Served, stub: Stub) -> None:
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(
            httpx.post,
            f"{one.address}{ROUTE}",
            files={"file": ("a.wav", WAV)},
            data={"prompt": "wait"},
            headers={"Authorization": f"Bearer {OTHER}"},
            timeout=1,
        )
        assert isinstance(asked.exception(), httpx.ReadTimeout)
    assert stub.left.wait(10)
    assert not stub.gate.is_set()
    until(lambda: calls(one) == "melmoat_upstream 0.0")
    with streamed(one, "stream") as answer:
        next(answer.iter_raw())
    until(lambda: calls(one) == "melmoat_upstream 0.0")


# A deadline is short against everything that else takes time, which a busy machine cannot promise.
@pytest.mark.slow
def test_a_late_answer_is_504_and_a_late_event_an_error() -> None:
    stub, limits = Stub(), Limits(longest=20, deadline=3)
    with running(stub) as address:
        app = create_app("none", limits=limits, upstream=Upstream(address))
        with served(app, limits) as one:
            assert ask(one).status_code == 200  # the decoder has started
            answer = ask(one, prompt="wait")
            assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
            assert stub.left.wait(10)  # and the upstream call was cancelled
            assert "authorization" not in stub.requests[-1].headers  # no key, so none at all
            with streamed(one, "stream") as late:
                assert b'"code": "timeout"' in late.read()


def test_a_dead_upstream_is_502_and_the_server_stays_ready() -> None:
    limits = Limits(longest=20)
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    app = create_app("none", limits=limits, upstream=Upstream(f"http://127.0.0.1:{port}/v1"))
    with served(app, limits) as one:
        for answer in (ask(one), httpx.get(f"{one.address}/v1/models", timeout=20)):
            assert answer.status_code == 502
            error = answer.json()["error"]
            assert (error["type"], error["code"]) == ("server_error", "upstream_unreachable")
            assert str(port) not in answer.text
        assert httpx.get(f"{one.address}/ready", timeout=20).status_code == 200
        assert httpx.get(f"{one.address}/health", timeout=20).json()["upstream"] is True
        defended = httpx.post(f"{one.address}/defend", files={"file": ("a.wav", WAV)}, timeout=20)
        assert defended.status_code == 200


@pytest.mark.slow
def test_the_official_client_gets_the_transcript_of_the_defended_recording() -> None:
    openai = pytest.importorskip("openai")
    recognizer, limits = models.load("ds2-an4"), Limits(longest=20)
    heard = recognizer.transcribe(Audio.of([DEFENDED.wav[0]]), Draws([0]))[0]
    assert heard != recognizer.transcribe(SPEECH, Draws([0]))[0]
    with served(create_app("none", "ds2-an4", limits), limits) as inner:
        upstream = Upstream(f"{inner.address}/v1")
        app = create_app(DEFENSE, limits=limits, upstream=upstream)
        with (
            served(app, limits) as outer,
            openai.OpenAI(base_url=f"{outer.address}/v1", api_key="any", max_retries=0) as client,
        ):
            create = client.audio.transcriptions.create
            file = ("a.wav", WAV)
            assert create(file=file, model="whisper-1").text == heard
            events = list(create(file=file, model="whisper-1", stream=True))
            assert (events[0].delta, events[-1].text) == (heard, heard)
            assert [model.id for model in client.models.list()] == ["ds2-an4"]
            with pytest.raises(openai.NotFoundError) as missing:
                create(file=file, model="nonsense")
            assert missing.value.code == "model_not_found"


def test_what_cannot_be_a_front_end_is_refused_at_the_start() -> None:
    upstream = Upstream("http://127.0.0.1:1/v1")
    with pytest.raises(MelmoatError, match=r"not a function of audio.* such as wgn:snr=15"):
        create_app("rs:votes=2", upstream=upstream)
    with pytest.raises(MelmoatError, match="--model and --upstream"):
        create_app("none", "ds2-an4", upstream=upstream)


@pytest.mark.parametrize(
    "address",
    ["localhost:8000", "ftp://a/v1", "http://", "http://u:p@a/v1", "http://a/v1?k=1", "http://a:x"],
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(MelmoatError, match="--upstream: "):
        Upstream(address)


def test_a_key_is_alone_in_its_file_and_not_shown(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    assert KEY not in repr(Upstream("http://a/v1", key_in(tmp_path / "key")))
    for content in ("", "two words"):
        (tmp_path / "key").write_text(content)
        with pytest.raises(MelmoatError, match="expected one key"):
            key_in(tmp_path / "key")
    with pytest.raises(MelmoatError, match="cannot be read"):
        key_in(tmp_path / "missing")

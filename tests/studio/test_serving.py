"""The server around the page: what it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from tests.studio.conftest import Serve

# Not imported here: that takes seconds, and the quick tests collect this file too.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra studio"),
]
httpx = pytest.importorskip("httpx", reason="needs httpx")

ELSEWHERE = "https://192.0.2.1/speech.wav"  # an address for documentation
LARGEST = 100_000  # bytes


@pytest.fixture(scope="module")
def client(served: Serve) -> Iterator[httpx.Client]:
    with (
        served("--model", "ds2-an4", "--megabytes", str(LARGEST / 1e6)) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client


@pytest.mark.parametrize("route", ["file", "proxy"])
def test_no_address_is_fetched_for_a_visitor(client: httpx.Client, route: str) -> None:
    answer = client.get(f"/gradio_api/{route}={ELSEWHERE}")
    assert answer.status_code == 403
    assert "fetches no addresses" in answer.text


def test_no_recording_is_fetched_from_an_address(client: httpx.Client) -> None:
    functions = client.get("/config").json()["dependencies"]
    which = next(one["id"] for one in functions if not one["queue"] and len(one["inputs"]) == 1)
    file = {"path": ELSEWHERE, "meta": {"_type": "gradio.FileData"}}
    asked: dict[str, Any] = {"data": [file], "fn_index": which, "session_hash": "mine"}
    answer = client.post("/gradio_api/run/predict", json=asked)
    assert "fetches no addresses" in answer.text


@pytest.mark.parametrize("path", ["/etc/passwd", "src/melmoat/__init__.py"])
def test_other_files_are_not_shown(client: httpx.Client, path: str) -> None:
    assert client.get(f"/gradio_api/file={path}").status_code == 403


def test_other_hosts_are_not_answered(client: httpx.Client) -> None:
    assert client.get("/", headers={"Host": "evil.example"}).status_code == 400


def test_the_page_may_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    answer = client.get("/")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert "fonts.googleapis.com" not in answer.text


def test_uploads_are_bounded_each_and_together(client: httpx.Client) -> None:
    def upload(content: bytes) -> httpx.Response:
        return client.post("/gradio_api/upload", files={"files": ("speech.wav", content)})

    assert upload(bytes(LARGEST + 1)).status_code == 413
    codes = [upload(bytes([i]) * LARGEST).status_code for i in range(102)]
    assert codes[0] == 200
    assert codes[-1] == 507  # a hundred of them are kept

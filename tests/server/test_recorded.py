"""What a browser records: files of a real MediaRecorder (``tools/media_recorder.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from melmoat import audio, data
from melmoat.server import create_app

RECORDINGS = sorted((Path(__file__).parent / "recordings").glob("chromium*"))
PLAYED = list(data.load("demo"))[1]  # with silence before and behind it


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with TestClient(create_app("none", "ds2-an4")) as found:
        yield found


def heard(client: TestClient, content: bytes, name: str) -> str:
    answer = client.post("/v1/audio/transcriptions", files={"file": (name, content)})
    assert answer.status_code == 200
    text: str = answer.json()["text"]
    return text


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_of_a_browser_is_heard_as_what_was_played(
    path: Path, client: TestClient
) -> None:
    played = heard(client, audio.encode(data.read([PLAYED]), "wav"), "a.wav")
    assert played == "C L A R A"
    assert heard(client, path.read_bytes(), path.name) == played


def test_there_are_both_containers() -> None:
    assert [path.suffix for path in RECORDINGS] == [".mp4", ".webm"]

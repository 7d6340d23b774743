"""What a browser records: files of a real MediaRecorder (``tools/media_recorder.py``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from melmoat.server import create_app
from tests.server.test_app import WAV, sent

RECORDINGS = sorted((Path(__file__).parent / "recordings").iterdir())
TEXT = "H A R R I S O N"  # the first utterance of the demo corpus, which was played to it


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_of_a_browser_is_heard_as_its_source(path: Path) -> None:
    with TestClient(create_app("none", "ds2-an4")) as client:
        heard = [
            client.post("/v1/audio/transcriptions", files=sent(content, name)).json()["text"]
            for content, name in (
                (WAV, "a.wav"),
                (path.read_bytes(), path.name),
            )
        ]
    assert heard == [TEXT, TEXT]

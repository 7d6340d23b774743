"""Who may use the server, from where, and under which path."""

from __future__ import annotations

import json
import logging
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from melmoat.errors import MelmoatError
from melmoat.server import Limits, create_app
from melmoat.server.access import VARIABLE, keys_of
from melmoat.server.log import JsonLines
from melmoat.server.running import Front
from tests.server.serving import served
from tests.server.test_app import WAV, sent

KEY = "0123456789abcdef0123"


def test_only_who_has_a_key_is_served() -> None:
    with TestClient(create_app("none", keys=[KEY, KEY[::-1]])) as client:
        for given in ("", "Bearer", f"Bearer {KEY}x", f"Basic {KEY}", KEY, "Bearer \u00e9"):
            headers = {"Authorization": given.encode("latin-1")} if given else {}
            for answer in (
                client.post("/defend", files=sent(WAV), headers=headers),
                client.get("/metrics", headers=headers),
                client.get("/nothing", headers=headers),
            ):
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.json()["error"]["code"] == "invalid_api_key"
                assert "x-request-id" in answer.headers
        for key in (KEY, KEY[::-1]):
            headers = {"Authorization": f"bearer {key}"}
            assert client.post("/defend", files=sent(WAV), headers=headers).status_code == 200
        for route in ("/health", "/ready"):
            assert client.get(route).status_code == 200


def test_keys_come_from_a_file_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    file = tmp_path / "keys"
    file.write_text(f"# of the call centre\n\n{KEY}\n  {KEY}2\n")
    assert keys_of(None) == ()
    assert keys_of(file) == (KEY, KEY + "2")
    monkeypatch.setenv(VARIABLE, KEY + "3")
    assert keys_of(None) == (KEY + "3",)
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(MelmoatError, match="openssl rand"):
        keys_of(None)
    monkeypatch.delenv(VARIABLE)
    file.write_text("# none yet\n")
    with pytest.raises(MelmoatError, match="no key in it"):
        keys_of(file)
    with pytest.raises(MelmoatError, match="cannot be read"):
        keys_of(tmp_path)


def test_pages_of_a_named_origin_may_ask_and_no_others() -> None:
    origin = "https://calls.example"
    with TestClient(create_app("none", keys=[KEY], origins=[origin])) as client:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        before = client.options("/defend", headers=asked)
        assert before.status_code == 200, "a browser asks without the key"
        assert before.headers["access-control-allow-origin"] == origin
        headers = {"Origin": origin, "Authorization": f"Bearer {KEY}"}
        answer = client.post("/defend", files=sent(WAV), headers=headers)
        assert answer.headers["access-control-allow-origin"] == origin
        other = client.post(
            "/defend", files=sent(WAV), headers={**headers, "Origin": "https://e.x"}
        )
        assert "access-control-allow-origin" not in other.headers
        asked["Origin"] = "https://e.x"
        assert client.options("/defend", headers=asked).status_code == 400


def test_a_prefix_that_a_proxy_removes_changes_nothing_here() -> None:
    limits = Limits()
    app = create_app("none", keys=[KEY])
    with served(app, limits, front=Front(root_path="/asr")) as one:
        assert httpx.get(f"{one.address}/health", timeout=60).status_code == 200
        headers = {"Authorization": f"Bearer {KEY}"}
        text = httpx.get(f"{one.address}/metrics", headers=headers, timeout=60).text
        assert 'melmoat_requests_total{route="/health",status="200"} 1.0' in text


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl makes the certificate")
def test_tls(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words += ["-nodes", "-keyout", str(key), "-out", str(certificate), "-days", "2"]
    words += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(words, check=True, capture_output=True)
    trust = ssl.create_default_context(cafile=str(certificate))
    with served(create_app("none"), Limits(), front=Front(certificate, key)) as one:
        address = one.address.replace("http:", "https:")
        answer = httpx.post(f"{address}/defend", files=sent(WAV), verify=trust, timeout=60)
        assert answer.status_code == 200


def test_a_log_of_json_has_the_facts_of_a_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "melmoat.server")
    with TestClient(create_app("none")) as client:
        client.post("/defend", files=sent(b""), headers={"X-Request-ID": "call-9"})
    record = next(r for r in caplog.records if r.getMessage().startswith("call-9"))
    line = json.loads(JsonLines().format(record))
    assert (line["request_id"], line["path"], line["status"]) == ("call-9", "/defend", 422)
    assert "the file is empty" in line["reason"]
    assert line["level"] == "warning"
    try:
        raise ValueError("a\nb")
    except ValueError:
        failed = logging.LogRecord("x", logging.ERROR, "", 0, "c\nd", (), sys.exc_info())
    assert "\n" not in JsonLines().format(failed)
    assert "ValueError" in json.loads(JsonLines().format(failed))["traceback"]

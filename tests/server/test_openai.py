"""OpenAI's interface, as its own client and others use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from melmoat import audio, data, models
from melmoat.draws import Draws
from melmoat.models.load import MODELS
from melmoat.server import Limits, create_app
from melmoat.server.fields import TIMES
from melmoat.server.transcripts import Transcript, srt, verbose, vtt
from tests.server.serving import Served, form, head, rest, served

ROUTE = "/v1/audio/transcriptions"
SPEECH = data.read(list(data.load("demo"))[:1])
WAV = audio.encode(SPEECH, "wav")
TEXT = models.load("ds2-an4").transcribe(SPEECH, Draws([0]))[0]


@pytest.fixture(scope="module")
def one() -> Iterator[Served]:
    limits = Limits(longest=20)
    with served(create_app("none", "ds2-an4", limits), limits) as found:
        yield found
        found.hang_up()


def ask(one: Served, **fields: Any) -> httpx.Response:
    files = {"file": ("a.wav", WAV)}
    return httpx.post(f"{one.address}{ROUTE}", files=files, data=fields, timeout=60)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    error: dict[str, Any] = answer.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def test_what_clients_always_send_works(one: Served) -> None:
    fields = {"model": "whisper-1", "temperature": "0", "language": "en", "prompt": ""}
    assert ask(one, **fields, response_format="json", stream="false").json() == {"text": TEXT}
    assert ask(one, model="ds2-an4", language="English").json() == {"text": TEXT}
    assert ask(one, response_format="text", temperature="0.0").text == TEXT + "\n"


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("model", "nonsense", 404),
        ("language", "de", 400),
        ("language", "klingon", 400),
        ("temperature", "0.7", 400),
        ("temperature", "hot", 400),
        ("temperature", "nan", 400),
        ("prompt", "Umbrella Corporation", 400),
        ("response_format", "nonsense", 400),
        ("timestamp_granularities[]", "word", 400),  # without verbose_json
        ("timestamp_granularities[]", "segment", 400),  # without verbose_json
        ("timestamp_granularities[]", "letter", 400),
        ("stream", "maybe", 400),
        ("vad_filter", "true", 400),
    ],
)
def test_what_cannot_be_honoured_is_refused(
    one: Served, field: str, value: str, status: int
) -> None:
    answer = ask(one, **{field: value})
    assert answer.status_code == status
    error = error_of(answer)
    assert (error["type"], error["param"]) == ("invalid_request_error", field)
    if field == "model":
        assert error["code"] == "model_not_found"


def test_fields_that_contradict_are_refused(one: Served) -> None:
    for form_asked in ("text", "srt", "vtt", "verbose_json"):
        assert ask(one, stream="true", response_format=form_asked).status_code == 400
    assert ask(one, model=["ds2-an4", "whisper-1"]).status_code == 400
    both = [("file", ("a.wav", WAV)), ("file", ("b.wav", WAV))]
    answer = httpx.post(f"{one.address}{ROUTE}", files=both, timeout=60)
    assert "file: sent more than once" in error_of(answer)["message"]


def test_a_stream_has_the_transcript_and_ends(one: Served) -> None:
    answer = ask(one, stream="true", model="whisper-1")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line]
    assert events == [
        {"type": "transcript.text.delta", "delta": TEXT},
        {"type": "transcript.text.done", "text": TEXT},
    ]


def test_what_fails_is_no_stream(one: Served) -> None:
    files = {"file": ("a.wav", b"no audio")}
    answer = httpx.post(f"{one.address}{ROUTE}", files=files, data={"stream": "true"}, timeout=60)
    assert answer.status_code == 422
    assert "not readable as audio" in error_of(answer)["message"]


@pytest.mark.parametrize(
    "disposition",
    ['name="file"', "name=\"file\"; filename*=utf-8''a.wav", 'name="file"; filename=""'],
)
def test_a_part_needs_no_file_name(one: Served, disposition: str) -> None:
    body = form(WAV, disposition)
    answer = rest(one.connect(head(len(body), ROUTE, "Connection: close") + body))
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1]) == {"text": TEXT}


def test_no_form_and_no_file_are_told_how_to_send_one(one: Served) -> None:
    for wrong in ({"content": WAV}, {"data": {"file": "a.wav"}}, {"json": {}}, {}):
        answer = httpx.post(f"{one.address}{ROUTE}", timeout=60, **wrong)  # type: ignore[arg-type]
        assert answer.status_code == 400
        assert "curl -F file=@call.wav" in error_of(answer)["message"]
    body = form(b"en", 'name="language"')
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{one.address}{ROUTE}", content=body, headers=kind, timeout=60)
    assert "curl -F file=@call.wav" in error_of(answer)["message"]


def test_a_broken_form_is_a_400(one: Served) -> None:
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    for content in (b"nothing", b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"):
        answer = httpx.post(f"{one.address}{ROUTE}", content=content, headers=kind, timeout=60)
        assert answer.status_code == 400
        assert error_of(answer)["type"] == "invalid_request_error"


def test_the_models_that_are_served(one: Served) -> None:
    (model,) = httpx.get(f"{one.address}/v1/models", timeout=60).json()["data"]
    assert (model["id"], model["object"]) == ("ds2-an4", "model")
    with TestClient(create_app("none")) as client:
        assert client.get("/v1/models").status_code == 404


def test_verbose_json_field_by_field(one: Served) -> None:
    answer = ask(one, response_format="verbose_json", **{TIMES: "segment"}).json()
    (segment,) = answer.pop("segments")
    seconds = round(float(SPEECH.seconds), 3)
    assert answer == {"task": "transcribe", "language": "en", "duration": seconds, "text": TEXT}
    assert segment.pop("compression_ratio") > 0
    assert segment == {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": seconds,
        "text": TEXT,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": None,
        "no_speech_prob": None,
    }


def test_the_times_of_words_where_the_recognizer_has_them(one: Served) -> None:
    told = ask(one, response_format="verbose_json", **{TIMES: ["word", "segment"]}).json()
    assert [word["word"] for word in told["words"]] == TEXT.split()
    times = [time for word in told["words"] for time in (word["start"], word["end"])]
    assert [0.0, *times, told["duration"]] == sorted([0.0, *times, told["duration"]])
    assert len(told["segments"]) == 1
    told = ask(one, response_format="verbose_json", **{TIMES: "word"}).json()
    assert (len(told["words"]), "segments" in told) == (len(TEXT.split()), False)
    assert "words" not in ask(one, response_format="verbose_json").json()


def test_times_of_words_that_nobody_knows_are_refused() -> None:
    with TestClient(create_app("none", "ds2-an4:beam=2")) as client:
        fields = {"response_format": "verbose_json", TIMES: "word"}
        answer = client.post(ROUTE, files={"file": ("a.wav", WAV)}, data=fields)
        assert (answer.status_code, error_of(answer)["param"]) == (400, TIMES)
        assert "no times of words" in error_of(answer)["message"]


def test_subtitles(one: Served) -> None:
    end = f"00:00:0{float(SPEECH.seconds):.3f}"
    srt = ask(one, response_format="srt")
    assert srt.text == f"1\n00:00:00,000 --> {end.replace('.', ',')}\n{TEXT}\n\n"
    vtt = ask(one, response_format="vtt")
    assert vtt.text == f"WEBVTT\n\n00:00:00.000 --> {end}\n{TEXT}\n\n"
    assert vtt.headers["content-type"] == "text/vtt; charset=utf-8"


def test_silence_has_no_segment() -> None:
    nothing = Transcript("", 1.0)
    assert verbose(nothing)["segments"] == []
    assert (srt(nothing), vtt(nothing)) == ("", "WEBVTT\n\n")
    assert "\n\n" not in srt(Transcript("A\n\nB", 3600.0)).rstrip("\n")
    assert "01:00:00,000" in srt(Transcript("A", 3600.0))


def test_translations_are_refused_clearly(one: Served) -> None:
    files = {"file": ("a.wav", WAV)}
    answer = httpx.post(f"{one.address}/v1/audio/translations", files=files, timeout=60)
    assert answer.status_code == 404
    assert "task=translate" in error_of(answer)["message"]


def test_a_recognizer_that_translates_serves_translations(monkeypatch: pytest.MonkeyPatch) -> None:
    model = "whisper:tiny,task=translate"
    monkeypatch.setattr(models, "load", lambda spec: MODELS.build("ds2-an4"))
    with TestClient(create_app("none", model)) as client:
        files = {"file": ("a.wav", WAV)}
        fields = {"response_format": "verbose_json", "model": "whisper-1"}
        answer = client.post("/v1/audio/translations", files=files, data=fields)
        assert (answer.json()["task"], answer.json()["text"]) == ("translate", TEXT)
        for field in ("language", "stream", TIMES):
            answer = client.post("/v1/audio/translations", files=files, data={field: "x"})
            assert (answer.status_code, error_of(answer)["param"]) == (400, field)
        answer = client.post(ROUTE, files=files)
        assert (answer.status_code, "translates" in answer.text) == (404, True)


def test_the_language_that_was_told_at_the_start_is_the_one() -> None:
    with TestClient(create_app("none", "ds2-an4", language="de")) as client:
        for language, status in (("de", 200), ("en", 400)):
            files = {"file": ("a.wav", WAV)}
            answer = client.post(ROUTE, files=files, data={"language": language})
            assert answer.status_code == status


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")  # translations, in its client
def test_openais_own_client(one: Served) -> None:
    openai = pytest.importorskip("openai")
    with openai.OpenAI(
        base_url=f"{one.address}/v1", api_key="x", max_retries=0, timeout=60
    ) as client:
        ask = client.audio.transcriptions.create
        file = ("a.wav", WAV)
        assert ask(file=file, model="whisper-1").text == TEXT
        assert ask(file=file, model="whisper-1", response_format="text") == TEXT + "\n"
        events = list(ask(file=file, model="whisper-1", stream=True))
        assert [event.type for event in events] == [
            "transcript.text.delta",
            "transcript.text.done",
        ]
        assert events[1].text == TEXT
        with pytest.raises(openai.BadRequestError, match="language: 'de' is not served") as caught:
            ask(file=file, model="whisper-1", language="de")
        assert caught.value.param == "language"
        assert caught.value.request_id
        with pytest.raises(openai.NotFoundError) as missing:
            ask(file=file, model="nonsense")
        assert missing.value.code == "model_not_found"
        assert [model.id for model in client.models.list()] == ["ds2-an4"]
        assert client.models.retrieve("ds2-an4").id == "ds2-an4"
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("nonsense")
        told = ask(
            file=file,
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["segment"],
        )
        assert (told.text, told.duration) == (TEXT, round(float(SPEECH.seconds), 3))
        assert [segment.text for segment in told.segments] == [TEXT]
        told = ask(
            file=file,
            model="whisper-1",
            response_format="verbose_json",
            timestamp_granularities=["word"],
        )
        assert [word.word for word in told.words] == TEXT.split()
        assert TEXT in ask(file=file, model="whisper-1", response_format="srt")
        with pytest.raises(openai.NotFoundError, match="translations need"):
            client.audio.translations.create(file=file, model="whisper-1")

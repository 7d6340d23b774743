"""A transcript in the response formats of OpenAI's interface.

A recording is one segment: from its start to its end. Recognizers that know the times of their
words give them on request; for others none are invented.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import JSONResponse, PlainTextResponse, Response

from melmoat.models.timing import Word
from melmoat.server.answers import events

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
UNKNOWN = "unknown"  # language of a recognizer that detects it and does not tell


@dataclass(frozen=True)
class Transcript:
    """What was heard.

    Args:
        text: the text.
        seconds: length of the recording.
        task: ``transcribe``, or ``translate`` for a text in English.
        language: the language that was spoken; None if it is not known.
        words: with their times, where the recognizer has them.
    """

    text: str
    seconds: float
    task: str = "transcribe"
    language: str | None = None
    words: Sequence[Word] = ()


def answer(
    found: Transcript,
    form: str,
    stream: bool,
    times: Collection[str],
    headers: Mapping[str, str],
) -> Response:
    """The answer to the client.

    Args:
        form: one of ``FORMATS``.
        stream: as server-sent events.
        times: what ``verbose_json`` has the times of: ``segment``, ``word``.
    """
    if stream:
        return events(found.text, headers)
    if form == "json":
        return JSONResponse({"text": found.text}, headers=headers)
    if form == "verbose_json":
        return JSONResponse(verbose(found, times), headers=headers)
    if form == "text":
        return PlainTextResponse(found.text + "\n", headers=headers)
    kind, body = ("x-subrip", srt(found)) if form == "srt" else ("vtt", vtt(found))
    return Response(body, media_type=f"text/{kind}; charset=utf-8", headers=headers)


def verbose(found: Transcript, times: Collection[str] = ("segment",)) -> dict[str, object]:
    """The body of ``verbose_json``. What the recognizer does not give is null."""
    segment = {
        "id": 0,
        "seek": 0,
        "start": 0.0,
        "end": round(found.seconds, 3),
        "text": found.text,
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": None,
        "compression_ratio": _ratio(found.text),
        "no_speech_prob": None,
    }
    body: dict[str, object] = {
        "task": found.task,
        "language": found.language or UNKNOWN,
        "duration": round(found.seconds, 3),
        "text": found.text,
    }
    if "segment" in times:
        body["segments"] = [segment] if found.text else []
    if "word" in times:
        body["words"] = [
            {"word": word.text, "start": round(word.start, 3), "end": round(word.end, 3)}
            for word in found.words
        ]
    return body


def srt(found: Transcript) -> str:
    """Subtitles in the form of SubRip; nothing if nothing was heard.

    >>> srt(Transcript("GO", 61.5))
    '1\\n00:00:00,000 --> 00:01:01,500\\nGO\\n\\n'
    """
    if not found.text:
        return ""
    return f"1\n{_clock(0, ',')} --> {_clock(found.seconds, ',')}\n{_line(found.text)}\n\n"


def vtt(found: Transcript) -> str:
    """Subtitles in the form of WebVTT.

    >>> vtt(Transcript("A < B", 1))
    'WEBVTT\\n\\n00:00:00.000 --> 00:00:01.000\\nA &lt; B\\n\\n'
    """
    if not found.text:
        return "WEBVTT\n\n"
    text = _line(found.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return f"WEBVTT\n\n{_clock(0, '.')} --> {_clock(found.seconds, '.')}\n{text}\n\n"


def _line(text: str) -> str:
    """``text`` in one line: an empty line would end a subtitle."""
    return " ".join(text.split())


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(1000 * seconds), 1000)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{point}{thousandths:03}"


def _ratio(text: str) -> float:
    """Bytes of the text by those of it compressed, as Whisper computes it."""
    content = text.encode()
    return round(len(content) / len(zlib.compress(content)), 3)

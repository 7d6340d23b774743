"""The fields of a form. A field that cannot be honoured is refused, not ignored."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from starlette.datastructures import FormData, UploadFile

from melmoat.decoding import Channel, channel_of
from melmoat.server.answers import Refusal
from melmoat.server.intake import MISSING
from melmoat.server.transcripts import FORMATS

ALIASES = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")  # what clients always send
KINDS = ("wav", "flac")
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"
TIMES = "timestamp_granularities[]"
TRUTHS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class Served:
    """What a client may request: the spec of the recognizer, its language, its task
    (``transcribe``, or ``translate`` into English), and whether it knows the times of words."""

    model: str
    language: str | None
    task: str = "transcribe"
    times_words: bool = False


@dataclass(frozen=True)
class Asked:
    """The requested form of a transcript."""

    form: str = "json"
    stream: bool = False
    times: tuple[str, ...] = ("segment",)


def recording(form: FormData) -> UploadFile:
    """The field ``file``.

    Raises:
        Refusal: it is missing, or empty.
    """
    file = form.get("file")
    if not isinstance(file, UploadFile):
        raise Refusal(400, f"file: {MISSING}", "file")
    if not file.size:
        raise Refusal(422, f"{file.filename or 'file'}: the file is empty (0 bytes)", "file")
    return file


def kind_asked(form: FormData) -> str:
    """The field ``format`` of ``/defend``."""
    kind = _texts(form, ("channel", "format")).get("format", "flac")
    return _one_of("format", kind, KINDS)


def channel_asked(form: FormData) -> Channel:
    """The field ``channel``: the channel of the recording to use."""
    try:
        return channel_of(str(form.get("channel", "mix")))
    except ValueError as error:
        raise Refusal(400, str(error)[:200], "channel", "unsupported_value") from error


def transcript_asked(form: FormData, served: Served) -> Asked:
    """The request in the fields of OpenAI's interface.

    Raises:
        Refusal: a field asks for something that is not served.
    """
    known = ["channel", "model", "prompt", "response_format", "temperature"]
    if served.task == "transcribe":  # as OpenAI's interface has it
        known += ["language", "stream", TIMES]
    texts = _texts(form, known)
    check_model(texts.get("model", served.model), served)
    if language := texts.get("language"):
        _check_language(language, served.language)
    if texts.get("prompt", "").strip():
        raise _not("prompt", "the recognizer takes no prompt; leave it out")
    try:
        if float(texts.get("temperature") or 0) != 0:
            raise ValueError
    except ValueError:
        raise _not(
            "temperature",
            f"{texts['temperature'][:100]!r} is not possible; only 0 is, the likeliest transcript",
        ) from None
    form_of_it = _one_of("response_format", texts.get("response_format", "json"), FORMATS)
    times = _times([str(value) for value in form.getlist(TIMES)], form_of_it, served.times_words)
    stream = texts.get("stream", "").lower()
    if stream not in TRUTHS:
        raise _not("stream", f"expected true or false, got {stream[:100]!r}")
    asked = Asked(form_of_it, TRUTHS[stream], times)
    if asked.stream and asked.form != "json":
        raise _not("stream", f"events are JSON; leave out stream or response_format={asked.form}")
    return asked


def passed_on(form: FormData) -> list[tuple[str, str]]:
    """The fields for an upstream server: all but ``file`` and ``channel``, as they are.

    Raises:
        Refusal: there is another file, which would not be defended, or ``channel`` is sent twice.
    """
    fields: list[tuple[str, str]] = []
    for name, value in form.multi_items():
        if name in ("file", "channel") and len(form.getlist(name)) > 1:
            raise _not(name, "sent more than once; which one is meant?")
        if name not in ("file", "channel"):
            if not isinstance(value, str):
                raise _not(name, "sent as a file; only 'file' may be one, since it is defended")
            fields.append((name, value))
    return fields


def _times(wanted: Sequence[str], form: str, words: bool) -> tuple[str, ...]:
    asked = tuple(filter(None, wanted))
    for value in asked:
        _one_of(TIMES, value, ("segment", "word"))
        if value == "word" and not words:
            raise _not(TIMES, "the recognizer has no times of words; 'segment' is possible")
        if form != "verbose_json":
            raise _not(TIMES, "only with response_format=verbose_json")
    return asked or Asked.times


def check_model(model: str, served: Served) -> None:
    """Raises :class:`Refusal` if ``model`` is not a name of the served recognizer."""
    if model not in (served.model, *ALIASES):
        message = f"model: {model[:100]!r} is not served; {served.model} is, also as {ALIASES[0]}"
        raise Refusal(404, message, "model", "model_not_found")


def _check_language(language: str, served: str | None) -> None:
    if served is None:
        raise _not("language", "the recognizer chooses the language itself; leave it out")
    same = language.lower() == served.lower() or {language.lower(), served.lower()} == {
        "en",
        "english",
    }
    if not same:
        raise _not("language", f"{language[:100]!r} is not served, only {served!r}")


def _texts(form: FormData, known: Collection[str]) -> dict[str, str]:
    """The other fields: each known, text, and sent once."""
    texts: dict[str, str] = {}
    for name, value in form.multi_items():
        if name not in ("file", *known):
            names = ", ".join(("file", *known))
            raise Refusal(
                400, f"{name[:100]!r} is no field here; known: {names}", name, "unknown_parameter"
            )
        if (name in texts and name != TIMES) or (name == "file" and len(form.getlist("file")) > 1):
            raise _not(name, "sent more than once; which one is meant?")
        if name != "file":
            if not isinstance(value, str):
                raise _not(name, "sent as a file; send it as text")
            texts[name] = value
    return texts


def _one_of(name: str, value: str, known: Collection[str]) -> str:
    if value not in known:
        names = " or ".join(map(repr, known))
        raise _not(name, f"Input should be {names}; got {value[:100]!r}")
    return value


def _not(name: str, message: str) -> Refusal:
    return Refusal(400, f"{name}: {message}", name, "unsupported_value")

"""The routes.

- ``POST /defend``: a recording in, the defended recording out. A WebSocket at ``/defend/stream``:
the same for live audio.
- ``POST /v1/audio/transcriptions``: a recording in, its transcript out. It follows OpenAI's
interface, so an OpenAI client only needs another address.
- ``POST /v1/audio/translations``: the same for a recognizer that translates into English.
- With an upstream server, the last two forward the defended recording to it.
- ``GET /v1/models``, ``GET /health``: what is served. ``GET /ready``: whether it can take work.
``GET /metrics``: metrics for Prometheus.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from melmoat import __version__
from melmoat import audio as files
from melmoat.audio import AudioError
from melmoat.devices import CPU
from melmoat.errors import MelmoatError
from melmoat.models.load import MODELS
from melmoat.server import forwarding
from melmoat.server.access import Keys, client_of
from melmoat.server.answers import Refusal, error_answer
from melmoat.server.decoding import Decoder
from melmoat.server.fields import (
    TRANSCRIPTIONS,
    TRANSLATIONS,
    Served,
    channel_asked,
    check_model,
    kind_asked,
    recording,
    transcript_asked,
)
from melmoat.server.intake import Intake
from melmoat.server.limits import Limits
from melmoat.server.live import STREAM, add_stream
from melmoat.server.log import HEADER, Logged
from melmoat.server.metrics import Figures
from melmoat.server.middleware import Bounded, Hosts, Places, while_there
from melmoat.server.service import Service
from melmoat.server.transcripts import Transcript, answer
from melmoat.server.upstream import Forwarder, Upstream

TYPES = {"wav": "audio/wav", "flac": "audio/flac"}
ROUTES = {"/defend", STREAM, TRANSCRIPTIONS, TRANSLATIONS, "/v1/models"} | {
    "/health",
    "/ready",
    "/metrics",
}
NOTE = "X-Melmoat-Note"  # notes about the recording


def create_app(
    defense: str,
    model: str | None = None,
    limits: Limits | None = None,
    device: str = CPU,
    hosts: Collection[str] = (),
    language: str | None = None,
    keys: Collection[str] = (),
    origins: Collection[str] = (),
    upstream: Upstream | None = None,
) -> FastAPI:
    """Make the application: everything is loaded, and has run once on noise.

    Args:
        defense: spec of the defense.
        model: spec of the recognizer behind it; without one, only ``/defend`` is served.
        device: device to compute on, such as ``cuda``.
        hosts: host names that requests may use; empty allows any.
        language: language that clients may name; by default that of ``model``'s spec, or English.
        keys: keys of clients; empty lets anyone in.
        origins: origins of web pages that may use the server, such as ``https://example.org``.
        upstream: a server that transcribes the defended recordings; instead of ``model``.

    Raises:
        MelmoatError: a spec or device is unknown, weights are missing, there is no model and the
            defense is not a function of audio (such as ``rs``), or both a model and an upstream
            server are given.
    """
    if model and upstream:
        raise MelmoatError("--model and --upstream: which of the two transcribes? Give one")
    limits, figures = limits or Limits(), Figures()
    service = Service(defense, model, limits, figures, device)
    decoder, intake = Decoder(service.rate, limits), Intake(limits)
    places = Places(limits.waiting, limits.queue, service.wait, limits.waiting_each)
    forwarder = Forwarder(upstream, limits.deadline) if upstream else None
    if forwarder:
        figures.shows("upstream", "Recordings at the upstream server", lambda: forwarder.calls)
    figures.shows("uploads", "Requests whose body arrives", lambda: intake.uploads)
    figures.shows("taken", "Requests between body and answer", lambda: places.taken)
    figures.shows("decoding", "Files that are decoded", lambda: decoder.running)
    figures.shows("queue_age_seconds", "Wait of the oldest recording", lambda: service.age)
    figures.shows("wait_seconds", "Work waiting, predicted", lambda: service.wait(float("inf")))

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        decoder.start()
        service.start()
        if forwarder:
            forwarder.open()
        yield
        if forwarder:
            await forwarder.close()
        decoder.close()
        streams.pool.shutdown(wait=False)
        await run_in_threadpool(service.close)

    app = FastAPI(title="melmoat", version=__version__, lifespan=life, openapi_url=None)
    app.state.figures, app.state.service = figures, service
    app.add_middleware(Bounded, size=int(limits.megabytes * 1e6), places=places)
    if keys:
        app.add_middleware(Keys, keys=keys)
    if hosts:
        app.add_middleware(Hosts, names=hosts)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", HEADER],
            expose_headers=[HEADER, NOTE, "Retry-After"],
        )
    app.add_middleware(Logged, count=figures.count, known=ROUTES)
    for kind in (AudioError, HTTPException):
        app.add_exception_handler(kind, _refused)

    async def read(form: FormData) -> tuple[files.Recording, tuple[str, ...]]:
        file, channel = recording(form), channel_asked(form)
        decoded, notes = await decoder(file.file, file.filename or "file", channel)
        if refusal := places.refusal(seconds=float(decoded.audio.seconds), placed=True):
            raise refusal
        return decoded, notes

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> dict[str, object]:
        """The server is alive, and what is served."""
        served = {"defense": defense, "model": model, "upstream": forwarder is not None}
        return {"version": __version__, **served, "rate": service.rate}

    @app.api_route("/ready", methods=["GET", "HEAD"])
    async def ready() -> Response:
        """Whether a new recording would be taken."""
        if not service.alive:
            return error_answer("the server does not compute", 503)
        if refusal := places.refusal():
            return refusal.answer()
        return JSONResponse({"ready": True})

    @app.get("/metrics")
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        return PlainTextResponse(figures.text())

    streams = add_stream(app, service, limits, origins)

    @app.websocket("/{path:path}")
    async def elsewhere(_: WebSocket) -> None:
        """Any other WebSocket."""
        raise Refusal(404, f"no WebSocket here; live audio is at {STREAM}", code="not_found")

    figures.shows("streams", "Live streams", lambda: streams.places.taken)
    if defending := service.defend:

        async def defended(
            request: Request, form: FormData, kind: str, until: float
        ) -> tuple[bytes, dict[str, str]]:
            """The defended recording as a file, and the headers that tell about it."""
            decoded, notes = await read(form)
            work = defending(decoded.audio.wav[0])
            out = await while_there(request, work, until - time.monotonic())
            body = await run_in_threadpool(files.encode, out, kind, decoded.gain)
            if (left := files.kept_gain(kind, decoded.gain)) != 1:
                notes += (f"{20 * math.log10(left):+.0f} dB, since {kind} cannot hold its level",)
            return body, _noting(notes)

        @app.post("/defend")
        async def defend(request: Request) -> Response:
            """The defended recording: mono, 16 bits, of the same duration."""
            async with intake.form(request) as form:
                kind = kind_asked(form)
                with places.one(client_of(request.scope)):
                    until = time.monotonic() + limits.deadline
                    body, headers = await defended(request, form, kind, until)
            return Response(body, media_type=TYPES[kind], headers=headers)

        if forwarder:
            forwarding.add_routes(app, forwarder, intake, places, defended, limits.deadline)

    else:
        _absent(app, "/defend", f"{defense} is not a function of audio; ask for transcripts")

    absent = {
        TRANSCRIPTIONS: "no recognizer is served: start with --model or --upstream",
        TRANSLATIONS: "translations need a multilingual Whisper that translates: start with "
        "--model whisper:NAME,task=translate, or with --upstream",
    }
    if forwarder:
        absent = {}
    if (transcribing := service.transcribe) and model:
        options = MODELS.parse(model).args
        task = str(options.get("task", "transcribe"))
        chosen = language or options.get("language") or (None if service.chooses else "en")
        served = Served(model, chosen, task, service.times_words)
        route = TRANSLATIONS if task == "translate" else TRANSCRIPTIONS
        if route == TRANSLATIONS:
            absent[TRANSCRIPTIONS] = f"{model} translates into English: ask {TRANSLATIONS}"
        del absent[route]
        about = {"object": "model", "created": int(time.time()), "owned_by": "melmoat"}
        entry: dict[str, object] = {"id": model, **about}

        @app.get("/v1/models")
        async def served_models() -> dict[str, object]:
            """The recognizer that is served."""
            return {"object": "list", "data": [entry]}

        @app.get("/v1/models/{name:path}")
        async def served_model(name: str) -> dict[str, object]:
            """The same recognizer by its name."""
            check_model(name, served)
            return entry

        @app.post(route)
        async def transcribe(request: Request) -> Response:
            """The transcript of the defended recognizer."""
            async with intake.form(request) as form:
                asked = transcript_asked(form, served)
                with places.one(client_of(request.scope)):
                    until = time.monotonic() + limits.deadline
                    decoded, notes = await read(form)
                    work = transcribing(decoded.audio.wav[0])
                    heard = await while_there(request, work, until - time.monotonic())
            seconds = float(decoded.audio.seconds)
            found = Transcript(heard.text, seconds, task, chosen, heard.words)
            return answer(found, asked.form, asked.stream, asked.times, _noting(notes))

    for route_without, why in absent.items():
        _absent(app, route_without, why)
    return app


def _noting(notes: Sequence[str]) -> dict[str, str]:
    return {NOTE: ascii("; ".join(notes))[1:-1]} if notes else {}


def _absent(app: FastAPI, route: str, why: str) -> None:
    @app.post(route)
    async def absent() -> Response:
        return error_answer(why, 404)


async def _refused(request: Request, error: Exception) -> Response:
    """422: the recording is at fault. 404, 405: there is no such route."""
    if isinstance(error, Refusal):
        return error.answer()
    if isinstance(error, HTTPException):
        why = str(error.detail)
        if error.status_code in (404, 405):
            route = f"{request.method} {request.url.path[:100]}"
            why = f"no {route} here; docs/serving.md lists the routes"
        return error_answer(why, error.status_code, dict(error.headers or {}))
    return error_answer(str(error), 422, param="file")

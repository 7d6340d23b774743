"""The routes.

- ``POST /defend``: a recording in, the same through the defense out.
- ``POST /v1/audio/transcriptions``: a recording in, its transcript out. It is OpenAI's interface,
  so that a client of that one needs only another address.
- ``GET /health``: what is served. ``GET /metrics``: figures for Prometheus.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

import anyio
from fastapi import FastAPI, Form, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from melmoat import __version__
from melmoat import audio as files
from melmoat.audio import AudioError
from melmoat.decoding import decode
from melmoat.devices import CPU
from melmoat.server.edge import Bounded, Counted, told, while_there
from melmoat.server.figures import Figures
from melmoat.server.service import Limits, Service

TYPES = {"wav": "audio/wav", "flac": "audio/flac"}
ROUTES = {"/defend", "/v1/audio/transcriptions", "/health", "/metrics"}


def create_app(
    defense: str,
    model: str | None = None,
    limits: Limits | None = None,
    device: str = CPU,
) -> FastAPI:
    """The application, with everything loaded, and run once on noise.

    Args:
        defense: spec of the defense.
        model: spec of the recognizer behind it; without one, only ``/defend`` is served.
        device: where it is computed, such as ``cuda``.

    Raises:
        MelmoatError: an unknown spec or device, missing weights; without a model, a defense that is
            no function of audio (such as ``rs``).
    """
    limits, figures = limits or Limits(), Figures()
    service = Service(defense, model, limits, figures, device)
    decoding = anyio.CapacityLimiter(os.cpu_count() or 1)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await run_in_threadpool(service.close)

    app = FastAPI(title="melmoat", version=__version__, lifespan=life)
    app.add_middleware(Bounded, size=int(limits.megabytes * 1e6), at_once=limits.waiting)
    app.add_middleware(Counted, count=figures.count, known=ROUTES)
    for kind in (AudioError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _refused)

    async def read(file: UploadFile) -> files.Recording:
        name = file.filename or "file"
        if not file.size:
            raise AudioError(f"{name}: the file is empty (0 bytes)")

        def work() -> files.Recording:
            decoded = decode(file.file, name, longest=limits.longest)
            return files.usable(decoded, name, service.rate)

        return await anyio.to_thread.run_sync(work, limiter=decoding)

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> dict[str, object]:
        """What is served."""
        return {"version": __version__, "defense": defense, "model": model, "rate": service.rate}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return PlainTextResponse(figures.text())

    if defending := service.defend:

        @app.post("/defend", response_class=Response)
        async def defend(
            request: Request,
            file: UploadFile,
            format: Annotated[Literal["wav", "flac"], Form()] = "flac",
        ) -> Response:
            """The recording through the defense: mono, 16 bits, of the same duration."""
            recording = await read(file)
            out = await while_there(request, defending(recording.audio.wav[0]))
            body = await run_in_threadpool(files.encode, out, format, recording.gain)
            return Response(body, media_type=TYPES[format])

    else:
        _absent(app, "/defend", f"{defense} is no function of audio; ask for transcripts")

    if transcribing := service.transcribe:

        @app.post("/v1/audio/transcriptions")
        async def transcribe(
            request: Request,
            file: UploadFile,
            response_format: Annotated[Literal["json", "text"], Form()] = "json",
        ) -> Response:
            """What the defended recognizer hears. The other fields of OpenAI's interface are not
            looked at: what is served was chosen when the server was started."""
            recording = await read(file)
            text = await while_there(request, transcribing(recording.audio.wav[0]))
            plain = response_format == "text"
            return PlainTextResponse(text + "\n") if plain else JSONResponse({"text": text})

    else:
        _absent(app, "/v1/audio/transcriptions", "no recognizer is served: start with --model")
    return app


def _absent(app: FastAPI, route: str, why: str) -> None:
    @app.post(route, include_in_schema=False)
    async def absent() -> Response:
        return told(why, 404)


async def _refused(_: Request, error: Exception) -> Response:
    """422 is the recording's fault; what is the server's is also raised, so that its log has it."""
    if isinstance(error, HTTPException):
        return told(str(error.detail), error.status_code, dict(error.headers or {}))
    if isinstance(error, RequestValidationError):
        wrong = {".".join(map(str, one["loc"][1:])): str(one["msg"]) for one in error.errors()}
        if "file" in wrong:
            wrong["file"] = "send the recording as a multipart field: curl -F file=@call.wav"
        return told("; ".join(f"{field}: {message}" for field, message in wrong.items()), 422)
    if isinstance(error, AudioError):
        return told(str(error), 422)
    return told("the server failed; its log says why", 500)

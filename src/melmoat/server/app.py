"""The routes.

- ``POST /defend``: a recording in, the same through the defense out.
- ``POST /v1/audio/transcriptions``: a recording in, its transcript out. It is OpenAI's interface,
  so that a client of that one needs only another address.
- ``GET /health``: what is served. ``GET /metrics``: figures for Prometheus.
"""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import anyio
import torch
from fastapi import FastAPI, Form, Request, Response, UploadFile
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.exceptions import HTTPException

from melmoat import __version__, defenses, models
from melmoat import audio as files
from melmoat.audio import RATE, Audio, AudioError
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer, heard
from melmoat.models.wrappers import kept
from melmoat.server.batching import Batcher
from melmoat.server.edge import Bounded, Counted, told, while_there
from melmoat.server.figures import Figures

T = TypeVar("T")
TYPES = {"wav": "audio/wav", "flac": "audio/flac"}
ROUTES = {"/defend", "/v1/audio/transcriptions", "/health", "/metrics"}


@dataclass(frozen=True)
class Limits:
    """What the server takes.

    Args:
        batch: recordings transcribed together, at most. Defended they are one by one, which takes a
            CPU less time (``benchmarks/serving.py``).
        seconds: audio of a batch, padding included.
        longest: seconds of one recording.
        megabytes: of one request.
        waiting: requests at once; the next is told to come again, before its body is read.
    """

    batch: int = 8
    seconds: float = 120
    longest: float = 60
    megabytes: float = 25
    waiting: int = 64


def create_app(defense: str, model: str | None = None, limits: Limits | None = None) -> FastAPI:
    """The application, with everything loaded, and run once on noise.

    Args:
        defense: spec of the defense.
        model: spec of the recognizer behind it; without one, only ``/defend`` is served.

    Raises:
        MelmoatError: an unknown spec, missing weights; without a model, a defense that is no
            function of audio (such as ``rs``).
    """
    limits = limits or Limits()
    made = defenses.build(defense)
    front = defenses.function_of_audio(made)
    if not (front or model):
        raise MelmoatError(f"{defense} is no function of audio: serve it with a --model behind it")
    system = made.wrap(models.load(model)) if model else None
    rate = system.rate if system else RATE
    figures = Figures()
    batchers: list[Batcher[Any]] = []
    turn = threading.Lock()  # two kinds of work take turns: together each would be half as fast
    decoding = anyio.CapacityLimiter(os.cpu_count() or 1)

    def batcher(work: Callable[[Audio, Draws], Sequence[T]], name: str, batch: int) -> Batcher[T]:
        def alone(audio: Audio, draws: Draws) -> Sequence[T]:
            with turn:
                return work(audio, draws)

        noise = 0.1 * torch.randn(rate, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():  # the first pass costs more than the others, and may fail
            alone(Audio.of([noise], rate), Draws([0]))
        made = Batcher(alone, rate, batch, limits.seconds, partial(figures.batch, name))
        figures.waits(name, lambda: made.waiting)
        batchers.append(made)
        return made

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        for one in batchers:
            one.start()
        yield
        for one in batchers:
            await run_in_threadpool(one.close)

    app = FastAPI(title="melmoat", version=__version__, lifespan=life)
    app.add_middleware(Bounded, size=int(limits.megabytes * 1e6), at_once=limits.waiting)
    app.add_middleware(Counted, count=figures.count, known=ROUTES)
    for kind in (AudioError, HTTPException, RequestValidationError, Exception):
        app.add_exception_handler(kind, _refused)

    async def read(file: UploadFile) -> torch.Tensor:
        name = file.filename or "file"
        if not file.size:
            raise AudioError(f"{name}: the file is empty (0 bytes)")
        work = partial(files.decode, file.file, name, rate, limits.longest)
        audio = await anyio.to_thread.run_sync(work, limiter=decoding)
        return audio.wav[0]

    @app.api_route("/health", methods=["GET", "HEAD"])
    async def health() -> dict[str, object]:
        """What is served."""
        return {"version": __version__, "defense": defense, "model": model, "rate": rate}

    @app.get("/metrics")
    async def metrics() -> Response:
        """Figures for Prometheus."""
        return PlainTextResponse(figures.text())

    if front:
        defending = batcher(partial(_defend, front), "defend", 1)

        @app.post("/defend", response_class=Response)
        async def defend(
            request: Request,
            file: UploadFile,
            format: Annotated[Literal["wav", "flac"], Form()] = "flac",
        ) -> Response:
            """The recording through the defense: mono, 16 bits, of the same duration."""
            wave = await read(file)
            out = await while_there(request, defending(wave))
            body = await run_in_threadpool(files.encode, out, format)
            return Response(body, media_type=TYPES[format])

    else:
        _absent(app, "/defend", f"{defense} is no function of audio; ask for transcripts")

    if system:
        transcribing = batcher(partial(_transcribe, system), "transcribe", limits.batch)

        @app.post("/v1/audio/transcriptions")
        async def transcribe(
            request: Request,
            file: UploadFile,
            response_format: Annotated[Literal["json", "text"], Form()] = "json",
        ) -> Response:
            """What the defended recognizer hears. The other fields of OpenAI's interface are not
            looked at: what is served was chosen when the server was started."""
            wave = await read(file)
            text = await while_there(request, transcribing(wave))
            plain = response_format == "text"
            return PlainTextResponse(text + "\n") if plain else JSONResponse({"text": text})

    else:
        _absent(app, "/v1/audio/transcriptions", "no recognizer is served: start with --model")
    return app


def _absent(app: FastAPI, route: str, why: str) -> None:
    @app.post(route, include_in_schema=False)
    async def absent() -> Response:
        return told(why, 404)


def _defend(front: FrontEnd, audio: Audio, draws: Draws) -> list[Audio]:
    out = kept(front, audio, front(audio, draws))
    if not torch.isfinite(out.wav).all():
        raise MelmoatError(f"{type(front).__name__} made NaN or Inf of audio that had none")
    return [out]


def _transcribe(system: Recognizer, audio: Audio, draws: Draws) -> Sequence[str]:
    return heard(system, audio, draws)


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

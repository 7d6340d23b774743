"""The routes.

- ``POST /defend``: a recording in, the same through the defense out.
- ``POST /v1/audio/transcriptions``: a recording in, its transcript out. It is OpenAI's interface,
  so that a client of that one needs only another address.
- ``GET /health``: what is served. ``GET /metrics``: figures for Prometheus.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal, TypeVar

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
from melmoat.server.batching import Batcher, Crowded
from melmoat.server.edge import Bounded, Counted, told
from melmoat.server.figures import Figures

T = TypeVar("T")
TYPES = {"wav": "audio/wav", "flac": "audio/flac"}


@dataclass(frozen=True)
class Limits:
    """What the server takes.

    Args:
        batch: recordings transcribed together, at most. Defended they are one by one, which takes a
            CPU less time (``benchmarks/serving.py``).
        seconds: audio of a batch, padding included.
        longest: seconds of one recording.
        megabytes: of one request.
        waiting: recordings that wait, at most; the next is told to come again.
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
    figures, closing = Figures(), []
    turn = threading.Lock()  # two kinds of work take turns: together each would be half as fast

    def batcher(work: Callable[[Audio, Draws], Sequence[T]], name: str, batch: int) -> Batcher[T]:
        def alone(audio: Audio, draws: Draws) -> Sequence[T]:
            with turn:
                return work(audio, draws)

        noise = 0.1 * torch.randn(rate, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():  # the first pass costs more than the others, and may fail
            alone(Audio.of([noise], rate), Draws([0]))
        at = batch, limits.seconds, limits.waiting
        made = Batcher(alone, rate, *at, partial(figures.batch, name))
        figures.waits(name, lambda: made.waiting)
        closing.append(made.close)
        return made

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        for close in closing:
            await run_in_threadpool(close)

    app = FastAPI(title="melmoat", version=__version__, lifespan=life)
    app.add_middleware(Bounded, most=int(limits.megabytes * 1e6))
    app.add_middleware(Counted, count=figures.count)
    app.add_exception_handler(MelmoatError, _refused)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _refused)

    async def read(file: UploadFile) -> torch.Tensor:
        name = file.filename or "file"
        if not file.size:
            raise AudioError(f"{name}: the file is empty (0 bytes)")
        audio = await run_in_threadpool(files.decode, file.file, name, rate, limits.longest)
        return audio.wav[0]

    @app.get("/health")
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
            file: UploadFile, format: Annotated[Literal["wav", "flac"], Form()] = "flac"
        ) -> Response:
            """The recording through the defense: mono, 16 bits, of the same duration."""
            out = await defending(await read(file))
            body = await run_in_threadpool(files.encode, out, format)
            return Response(body, media_type=TYPES[format])

    else:
        _absent(app, "/defend", f"{defense} is no function of audio; ask for transcripts")

    if system:
        transcribing = batcher(partial(_transcribe, system), "transcribe", limits.batch)

        @app.post("/v1/audio/transcriptions")
        async def transcribe(
            file: UploadFile, response_format: Annotated[Literal["json", "text"], Form()] = "json"
        ) -> Response:
            """What the defended recognizer hears. The other fields of OpenAI's interface are not
            looked at: what is served was chosen when the server was started."""
            text = await transcribing(await read(file))
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
    return [kept(front, audio, front(audio, draws))]


def _transcribe(system: Recognizer, audio: Audio, draws: Draws) -> Sequence[str]:
    return heard(system, audio, draws)


async def _refused(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return told(str(error.detail), error.status_code, dict(error.headers or {}))
    if isinstance(error, RequestValidationError):
        wrong = [f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors()]
        return told("; ".join(wrong), 422)
    busy = isinstance(error, Crowded)
    return told(str(error), 503 if busy else 422, {"Retry-After": "1"} if busy else None)

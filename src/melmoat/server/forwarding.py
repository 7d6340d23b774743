"""The routes of a front-end before an upstream server: defend, then forward."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from starlette.datastructures import FormData

from melmoat.server.access import client_of
from melmoat.server.answers import Refusal
from melmoat.server.fields import TRANSCRIPTIONS, TRANSLATIONS, passed_on
from melmoat.server.intake import Intake
from melmoat.server.middleware import Places
from melmoat.server.upstream import Forwarder

Defended = Callable[[Request, FormData, str, float], Awaitable[tuple[bytes, dict[str, str]]]]


def add_routes(
    app: FastAPI,
    forwarder: Forwarder,
    intake: Intake,
    places: Places,
    defended: Defended,
    deadline: float,
) -> None:
    """Add transcriptions, translations and models of the upstream server to ``app``.

    Args:
        defended: the defended recording of a form as a file of a kind, and headers about it.
        deadline: most seconds between the arrival of a body and the end of its answer.
    """

    async def forward(request: Request, path: str) -> Response:
        if request.url.query:  # it would not reach the upstream server
            message = "parameters in the address are not passed on; send them as fields of the form"
            raise Refusal(400, message, code="unknown_parameter")
        async with AsyncExitStack() as held:
            form = await held.enter_async_context(intake.form(request))
            fields = passed_on(form)
            held.enter_context(places.one(client_of(request.scope)))
            until = time.monotonic() + deadline
            wav, headers = await defended(request, form, "wav", until)
            answer = await forwarder.post(request, path, fields, wav, until, headers, held)
        return answer  # noqa: RET504 (a type checker thinks that the block may be left)

    @app.post(TRANSCRIPTIONS)
    async def transcribe(request: Request) -> Response:
        """The upstream server's transcript of the defended recording."""
        return await forward(request, "audio/transcriptions")

    @app.post(TRANSLATIONS)
    async def translate(request: Request) -> Response:
        """The upstream server's translation of the defended recording."""
        return await forward(request, "audio/translations")

    @app.get("/v1/models")
    async def models(request: Request) -> Response:
        """What the upstream server serves."""
        return await forwarder.get(request, "models")

    @app.get("/v1/models/{name:path}")
    async def model(name: str, request: Request) -> Response:
        """One of them."""
        if {".", ".."} & set(name.split("/")):  # it would lead to another path
            raise Refusal(404, f"model: {name[:100]!r} is no name", "model", "model_not_found")
        return await forwarder.get(request, f"models/{quote(name)}")

"""What stands around the routes: bounds on what is taken, and counting."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Container
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

T = TypeVar("T")
LEFT = 499  # as nginx counts clients that did not wait for their answer


def told(message: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error, in the form of OpenAI's interface."""
    return JSONResponse({"error": {"message": message}}, status, headers)


class Bounded:
    """Takes so many uploads at once, and of each so many bytes.

    What is refused is refused as early as it can be told: before its body is read, if its length is
    declared.
    """

    def __init__(self, app: ASGIApp, size: int, at_once: int) -> None:
        self.app, self.size, self.at_once = app, size, at_once
        self._taken = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        message = f"the request has more than {self.size / 1e6:g} MB; send less audio, or as FLAC"
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self.size:
            await told(message, 413)(scope, receive, send)
            return
        if self._taken >= self.at_once:
            busy = told(f"{self._taken} requests wait already", 503, {"Retry-After": "1"})
            await busy(scope, receive, send)
            return
        got = 0

        async def bounded() -> Message:
            nonlocal got
            part = await receive()
            got += len(part.get("body", b""))
            if got > self.size:
                raise HTTPException(413, message)
            return part

        self._taken += 1
        try:
            await self.app(scope, bounded, send)
        finally:
            self._taken -= 1


class Counted:
    """Tells ``count`` the route, the status and the seconds of each answer; 500 where there was
    none, "none" where it is no route of ``known``."""

    def __init__(
        self, app: ASGIApp, count: Callable[[str, int, float], None], known: Container[str]
    ) -> None:
        self.app, self.count, self.known = app, count, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, began = 500, time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            path = scope["path"]
            route = path if path in self.known else "none"
            self.count(route, status, time.perf_counter() - began)


async def while_there(request: Request, answer: Awaitable[T]) -> T:
    """``answer``, which is given up where the client does not wait for it.

    Raises:
        HTTPException: the client has left.
    """
    work, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([work, leaving], return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise HTTPException(LEFT, "the client has left")
        return await work
    finally:
        work.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

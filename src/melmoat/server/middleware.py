"""What stands around the routes: what is refused before a body is read, and who has left."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from melmoat.server.answers import LEFT, Refusal, busy, told

T = TypeVar("T")
PORT = re.compile(r":\d*$")


class Places:
    """So many requests at once, from the arrival of their body to their answer.

    Args:
        most: requests.
        queue: seconds of work that may stand before one.
        wait: how many there are before a recording of so many seconds.
    """

    def __init__(self, most: int, queue: float, wait: Callable[[float], float]) -> None:
        self.most, self.queue, self.wait, self.taken = most, queue, wait, 0

    def refusal(self, seconds: float = 0, placed: bool = False) -> Refusal | None:
        """Why there is no place for a recording of so many seconds, if there is none; of one that
        is ``placed``, why it may not wait for its turn."""
        if self.taken >= self.most and not placed:
            return busy(f"{self.taken} requests wait already", self.wait(float("inf")))
        if (wait := self.wait(seconds)) > self.queue:
            return busy(f"about {wait:.0f} s of work wait already", wait)
        return None

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place.

        Raises:
            Refusal: there is none.
        """
        if refusal := self.refusal():
            raise refusal
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1


class Bounded:
    """Takes so many bytes of a request, and none where there is no place for it.

    What is refused is refused as early as it can be told: before its body is read, if its length is
    declared.
    """

    def __init__(self, app: ASGIApp, size: int, places: Places) -> None:
        self.app, self.size, self.places = app, size, places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        message = f"the request has more than {self.size / 1e6:g} MB; send less audio, or as FLAC"
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self.size:
            await told(message, 413)(scope, receive, send)
            return
        if refusal := self.places.refusal():
            await refusal.answer()(scope, receive, send)
            return
        got = 0

        async def bounded() -> Message:
            nonlocal got
            part = await receive()
            got += len(part.get("body", b""))
            if got > self.size:
                raise HTTPException(413, message)
            return part

        await self.app(scope, bounded, send)


class Hosts:
    """Answers only requests to hosts of these names; a page of another site, whose name was made to
    point here, gets nothing. Those that name no host (HTTP/1.0) come from no browser."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app, self.names = app, {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host")
            if host is not None and PORT.sub("", host).strip("[]").lower() not in self.names:
                message = (
                    f"this server does not answer to the host {host[:100]!r}; start it with "
                    "--allowed-host NAME"
                )
                await told(message, 400)(scope, receive, send)
                return
        await self.app(scope, receive, send)


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

"""Middleware around the routes: refuses requests before their body is read, and notices clients
that have left."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from melmoat.server.access import client_of
from melmoat.server.answers import LEFT, Refusal, busy, error_answer, too_many

T = TypeVar("T")
PORT = re.compile(r":\d*$")


class Places:
    """Limits the requests between the arrival of their body and their answer.

    Args:
        most: most requests at once.
        queue: most seconds of work before one.
        wait: returns the seconds of work before a recording of so many seconds.
        each: most requests of one client at once; None for no other limit.
        what: the word for requests in refusals.
    """

    def __init__(
        self,
        most: int,
        queue: float,
        wait: Callable[[float], float],
        each: int | None = None,
        what: str = "requests are already waiting",
    ) -> None:
        self.most, self.queue, self.wait, self.what = most, queue, wait, what
        self.each = most if each is None else each
        self._clients: Counter[str] = Counter()

    @property
    def taken(self) -> int:
        """Number of places that are taken."""
        return sum(self._clients.values())

    def refusal(self, client: str = "", seconds: float = 0, placed: bool = False) -> Refusal | None:
        """The refusal if there is no place for a recording of so many seconds, else None. A
        recording that is ``placed`` is only checked against the queue."""
        if self.taken >= self.most and not placed:
            return busy(f"{self.taken} {self.what}", self.wait(float("inf")))
        if (own := self._clients[client]) >= self.each and not placed:
            return too_many(f"{own} of your {self.what}", self.wait(float("inf")))
        if (wait := self.wait(seconds)) > self.queue:
            return busy(f"about {wait:.0f} s of work are already waiting", wait)
        return None

    @contextmanager
    def one(self, client: str) -> Iterator[None]:
        """Hold one place.

        Raises:
            Refusal: there is none, or none for this client.
        """
        if refusal := self.refusal(client):
            raise refusal
        self._clients[client] += 1
        try:
            yield
        finally:
            self._clients[client] -= 1
            self._clients += Counter()  # without those of none


class Bounded:
    """Limits the bytes of a request, and reads none if there is no place for it.

    A request is refused as early as possible: before its body is read, if its length is declared.
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
            await error_answer(message, 413)(scope, receive, send)
            return
        if refusal := self.places.refusal(client_of(scope)):
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
    """Answers only requests to these host names. So a web page of another site cannot reach the
    server through a name that points here (DNS rebinding). Requests without a host (HTTP/1.0) are
    answered, because browsers do not send them."""

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self.app, self.names = app, {name.lower() for name in names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            host = Headers(scope=scope).get("host")
            if host is not None and PORT.sub("", host).strip("[]").lower() not in self.names:
                message = (
                    f"this server does not answer to the host {host[:100]!r}; start it with "
                    "--allowed-host NAME"
                )
                await error_answer(message, 400)(scope, receive, send)
                return
        await self.app(scope, receive, send)


async def while_there(request: Request, answer: Awaitable[T], seconds: float) -> T:
    """``answer``; it is cancelled if the client leaves, or after so many seconds.

    Raises:
        HTTPException: the client has left, or the time is over.
    """
    work, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait(
            [work, leaving], timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED
        )
        if leaving.done() and not work.done():
            raise HTTPException(LEFT, "the client has left")
        if not work.done():
            message = "the answer did not come in time; send less audio, or come again later"
            raise Refusal(504, message, code="timeout")
        return await work
    finally:
        work.cancel()
        leaving.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

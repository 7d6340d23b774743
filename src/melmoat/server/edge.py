"""What stands around the routes: a bound on a request's size, and counting."""

from __future__ import annotations

from collections.abc import Callable

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


def told(message: str, status: int, headers: dict[str, str] | None = None) -> JSONResponse:
    """An error, in the form of OpenAI's interface."""
    return JSONResponse({"error": {"message": message}}, status, headers)


class Bounded:
    """Refuses a body of more than ``most`` bytes: at once where its length is declared, otherwise
    when it has sent that many."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self.app, self.most = app, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        message = f"the request has more than {self.most / 1e6:g} MB; send less audio, or as FLAC"
        declared = dict(scope["headers"]).get(b"content-length", b"")
        if declared.isdigit() and int(declared) > self.most:
            await told(message, 413)(scope, receive, send)
            return
        got = 0

        async def bounded() -> Message:
            nonlocal got
            part = await receive()
            got += len(part.get("body", b""))
            if got > self.most:
                raise HTTPException(413, message)
            return part

        await self.app(scope, bounded, send)


class Counted:
    """Tells ``count`` the route and the status of each answer; 500 where there was none."""

    def __init__(self, app: ASGIApp, count: Callable[[str, int], None]) -> None:
        self.app, self.count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            self.count(getattr(scope.get("route"), "path", "none"), status)

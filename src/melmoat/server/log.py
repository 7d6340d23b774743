"""Each request has an id, a line in the log and a place in the figures."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Container

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from melmoat.server.answers import busy, told

HEADER = "X-Request-ID"
SANE = re.compile(r"[A-Za-z0-9._:-]{1,100}")
REASON = 500  # characters of a reason that the log keeps
log = logging.getLogger("melmoat.server")


class Logged:
    """Gives each request an id, its client's own (``X-Request-ID``) if that is a plain word; the
    answer bears it. The log has a line for each answer, with the reason of an error as the client
    was told it. What fails is answered 500 here, with its traceback in the log.

    Args:
        count: is told the route, the status and the seconds of each answer.
        known: routes; any other is counted as "none".
    """

    def __init__(
        self, app: ASGIApp, count: Callable[[str, int, float], None], known: Container[str]
    ) -> None:
        self.app, self.count, self.known = app, count, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        name, status, told_why, began = _name(scope), 0, b"", time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status, told_why
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = name
            elif status >= 400 and len(told_why) < 10 * REASON:
                told_why += message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except asyncio.CancelledError:  # the time that the server gives to what is open is over
            if status:
                raise
            await busy("the server is closing", 1).answer()(scope, receive, noted)
        except Exception:
            log.exception("%s failed", name)
            if status:
                raise
            await told("the server failed; its log says why", 500)(scope, receive, noted)
        finally:
            spent = time.perf_counter() - began
            route = scope["path"] if scope["path"] in self.known else "none"
            self.count(route, status or 500, spent)
            log.log(
                logging.INFO if status < 400 else logging.WARNING,
                '%s %s "%s %s" %d in %.3f s%s',
                name,
                (scope.get("client") or ["-"])[0],
                scope["method"],
                scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200],
                status,
                spent,
                _reason(told_why),
            )


def _name(scope: Scope) -> str:
    asked: bytes = dict(scope["headers"]).get(HEADER.lower().encode(), b"")
    name = asked.decode("latin-1")
    return name if SANE.fullmatch(name) else uuid.uuid4().hex


def _reason(body: bytes) -> str:
    """In one line, whatever a client may have written into it."""
    if not body:
        return ""
    try:
        reason = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        reason = body.decode(errors="replace")
    plain = "".join(one if one.isprintable() else " " for one in reason)
    return f": {plain[:REASON]}"

"""Gives each request an id and a line in the log, and counts it in the metrics."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Container
from datetime import datetime, timezone

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from melmoat.server.access import route_of
from melmoat.server.answers import busy, error_answer

HEADER = "X-Request-ID"
CLOSED = 1000  # of a WebSocket. Its status is the server's close code, or 101 if the client left
SANE = re.compile(r"[A-Za-z0-9._:-]{1,100}")
REASON = 500  # most characters of a reason in the log
log = logging.getLogger("melmoat.server")


class Logged:
    """Gives each request an id: the client's own (``X-Request-ID``) if it is a plain word. The
    answer has this id. The log has a line for each answer, with the reason of an error as the
    client got it. An unexpected error is answered with 500, and its traceback is in the log.

    Args:
        count: called with the route, the status and the seconds of each answer.
        known: known routes; any other is counted as "none".
    """

    def __init__(
        self, app: ASGIApp, count: Callable[[str, int, float], None], known: Container[str]
    ) -> None:
        self.app, self.count, self.known = app, count, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        name, status, told_why, began = _name(scope), 0, b"", time.perf_counter()
        scope.setdefault("state", {})["request_id"] = name

        async def noted(message: Message) -> None:
            nonlocal status, told_why
            kind = message["type"].removeprefix("websocket.")
            if kind in ("http.response.start", "accept"):
                status = message.get("status", 101)
                message.setdefault("headers", [])
                MutableHeaders(scope=message)[HEADER] = name
            elif kind == "close":
                status = message.get("code", CLOSED) if status else 403
                told_why = (message.get("reason") or "").encode()
            elif status >= 400 and len(told_why) < 10 * REASON:
                told_why += message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except asyncio.CancelledError:  # the grace period for open requests is over
            if status:
                raise
            await busy("the server is closing", 1).answer()(scope, receive, noted)
        except Exception:
            log.exception("%s failed", name)
            if status:
                raise
            await error_answer("the server failed; its log says why", 500)(scope, receive, noted)
        finally:
            spent = time.perf_counter() - began
            status = getattr(scope["state"].get("connection"), "closed_with", None) or status
            route = path if (path := route_of(scope)) in self.known else "none"
            self.count(route, status or 500, spent)
            facts = {
                "request_id": name,
                "client": (scope.get("client") or ["-"])[0],
                "method": scope.get("method", "WEBSOCKET"),
                "path": scope.get("raw_path", b"").decode("ascii", "backslashreplace")[:200],
                "status": status,
                "seconds": round(spent, 3),
                "reason": _reason(told_why),
            }
            log.log(
                logging.INFO if status < 400 or status == CLOSED else logging.WARNING,
                '%(request_id)s %(client)s "%(method)s %(path)s" %(status)d '
                "in %(seconds).3f s%(why)s",
                {**facts, "why": f": {facts['reason']}" if facts["reason"] else ""},
                extra={"facts": facts},
            )


class JsonLines(logging.Formatter):
    """Each record as one line of JSON: ``time`` (UTC), ``level``, ``message``, and the facts of a
    request."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        time_of_it = datetime.fromtimestamp(record.created, timezone.utc)
        line: dict[str, object] = {
            "time": time_of_it.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "facts", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def request_id(scope: Scope) -> str:
    """The id of a request that has come through :class:`Logged`."""
    return str(scope["state"]["request_id"])


def _name(scope: Scope) -> str:
    asked: bytes = dict(scope["headers"]).get(HEADER.lower().encode(), b"")
    name = asked.decode("latin-1")
    return name if SANE.fullmatch(name) else uuid.uuid4().hex


def _reason(body: bytes) -> str:
    """The reason in one line, whatever a client may have put into it."""
    if not body:
        return ""
    try:
        reason = str(json.loads(body)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        reason = body.decode(errors="replace")
    plain = "".join(letter if letter.isprintable() else " " for letter in reason)
    return plain[:REASON]

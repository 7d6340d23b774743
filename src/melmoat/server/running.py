"""The server around the application: uvicorn, with bounds on its connections, and its log."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import uvicorn
from fastapi import FastAPI
from uvicorn.config import LOGGING_CONFIG

from melmoat.errors import MelmoatError
from melmoat.server.connections import OFTEN, Room
from melmoat.server.limits import Limits
from melmoat.server.live import MESSAGE

GRACE = 30  # seconds for open requests when the server stops
BACKLOG = 128  # most connections that are accepted at once
QUEUE = 2048  # connections that wait to be accepted
SPARE = 64  # open files other than connections: pipes, weights, the log
log = logging.getLogger("melmoat.server")


@dataclass(frozen=True)
class Front:
    """How the server meets its clients.

    Args:
        certificate, key: files of TLS; without them it speaks HTTP.
        root_path: what a proxy removes from the beginning of paths.
        log_format: ``text``, or ``json`` for a JSON object a line.
    """

    certificate: Path | None = None
    key: Path | None = None
    root_path: str = ""
    log_format: Literal["text", "json"] = "text"


def run(
    app: FastAPI,
    host: str,
    port: int,
    limits: Limits,
    grace: int = GRACE,
    front: Front = Front(),
) -> None:
    """Serve until stopped.

    Raises:
        MelmoatError: the files of TLS cannot be used.
    """
    config = configured(app, host, port, limits, grace, front)
    try:
        config.load()
    except OSError as error:
        raise MelmoatError(f"TLS: {front.certificate} and {front.key}: {error}") from error
    Server(config).run()


class Server(uvicorn.Server):
    """uvicorn's server, with a long queue in the system. asyncio's ``backlog`` is also the number
    of connections that it accepts before it reads from any, so that one is short
    (:func:`configured`)."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for server in self.servers:
            for listener in server.sockets:
                with socket.socket(fileno=os.dup(listener.fileno())) as same:
                    same.listen(QUEUE)


def configured(
    app: FastAPI,
    host: str,
    port: int,
    limits: Limits,
    grace: int = GRACE,
    front: Front = Front(),
) -> uvicorn.Config:
    """uvicorn's settings for ``app``."""
    files = _open_files()
    backlog = max(8, min(BACKLOG, files // 16))
    # Between two closings up to eight times the backlog may be accepted; an upload has a file too.
    room = Room(limits, most=max(8, (files - SPARE - 8 * backlog) // 2))
    backlog = max(8, min(backlog, room.each // 4))  # what came before is read between
    figures = app.state.figures
    figures.shows("connections", "Open connections", lambda: len(room))
    figures.shows("connections_closed", "Closed by the server", lambda: sum(room.cut.values()))
    return uvicorn.Config(
        _Quiet(app),
        host=host,
        port=port,
        http=room.protocol,
        ws=room.live,
        ws_max_size=MESSAGE,
        ws_per_message_deflate=False,  # sound does not shrink
        backlog=backlog,
        log_config=_log_config(front.log_format),
        access_log=False,  # the application's line says more
        server_header=False,
        root_path=front.root_path,
        ssl_certfile=front.certificate,
        ssl_keyfile=front.key,
        timeout_graceful_shutdown=grace,
    )


def _open_files() -> int:
    """The largest number of open files that this process can get; the limit is raised to it."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return 65_536 if soft == resource.RLIM_INFINITY else soft


def _log_config(form: str) -> dict[str, Any]:
    config = copy.deepcopy(LOGGING_CONFIG)
    config["formatters"]["default"]["fmt"] = "%(asctime)s %(levelprefix)s %(message)s"
    if form == "json":
        config["formatters"]["default"] = {"()": "melmoat.server.log.JsonLines"}
    config["loggers"]["melmoat.server"] = {
        "handlers": ["default"],
        "level": "INFO",
        "propagate": False,
    }
    # Of bad forms the application's own line tells. These have no request id, and are not JSON.
    config["loggers"]["python_multipart"] = {"level": "ERROR"}
    return config


class _Quiet:
    """Keeps asyncio from writing a traceback for each connection that it cannot accept."""

    def __init__(self, app: FastAPI) -> None:
        self.app, self._told = app, -OFTEN

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            asyncio.get_running_loop().set_exception_handler(self._failed)
        await self.app(scope, receive, send)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        full = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
        if not (isinstance(error, OSError) and error.errno in full):
            loop.default_exception_handler(context)
        elif loop.time() >= self._told + OFTEN:
            self._told = loop.time()
            log.error("no connection can be accepted for now: %s", error.strerror)

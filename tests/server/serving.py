"""A server that runs, and clients that are rude to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

from melmoat.server import Limits
from melmoat.server.running import Front, Server, configured


@dataclass
class Served:
    port: int
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def connect(self, content: bytes = b"") -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.sockets.append(found)
        found.sendall(content)
        return found

    def hang_up(self) -> None:
        """Close every connection that was made here."""
        while self.sockets:
            self.sockets.pop().close()


@contextmanager
def served(
    app: FastAPI, limits: Limits, grace: int = 5, front: Front | None = None
) -> Iterator[Served]:
    config = configured(app, "127.0.0.1", 0, limits, grace, front or Front())
    server = Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    one = Served(server.servers[0].sockets[0].getsockname()[1])
    try:
        yield one
    finally:
        one.hang_up()
        server.should_exit = True
        thread.join()


def until(true: Callable[[], object], seconds: float = 20) -> None:
    """Wait for it, and fail where it does not come."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.01)


def head(length: int, route: str = "/defend", *more: str) -> bytes:
    """Of a form of so many bytes."""
    lines = [
        f"POST {route} HTTP/1.1",
        "Host: localhost",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {length}",
        *more,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def form(content: bytes, disposition: str = 'name="file"; filename="a.wav"') -> bytes:
    """A body with one part."""
    return (
        f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
        + content
        + b"\r\n--b--\r\n"
    )


def rest(found: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    try:
        while part := found.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)

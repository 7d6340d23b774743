"""Limits on connections: their number, and how long each may wait for its client.

uvicorn closes a connection that is idle between two requests; it has no other deadline. Here a
connection has three deadlines: for the head of a request, for its body, and for the client to read
the answer. If there is no room for a new connection, the server closes the connection that has
waited longest, from the address that has most. So sockets that send nothing keep nobody out, and a
request in work is never cut off.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from functools import partial
from typing import Any, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from melmoat.server.limits import Limits

LATER = 5.0  # seconds after the application's own deadline for a body, which informs the client
OFTEN = 60.0  # seconds between two lines of the log about the same trouble
log = logging.getLogger("melmoat.server")


class Room:
    """The connections of one server.

    Args:
        limits: limits of the server.
        most: most connections that the system's limit of open files allows.

    Attributes:
        cut: number of closed connections, by reason.
    """

    def __init__(self, limits: Limits, most: int) -> None:
        self.most = min(limits.connections, most)
        self.each = min(limits.each, self.most)
        self.deadlines = {
            "head": limits.idle,
            "body": limits.upload + LATER,
            "reading": limits.upload,
        }
        self.cut: Counter[str] = Counter()
        self._all: dict[Watched | Talking, None] = {}
        self._addresses: Counter[str] = Counter()
        self._told = -OFTEN

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, connection: Watched | Talking) -> None:
        """Accept ``connection``; if there is no room, close another connection."""
        self._all[connection] = None
        self._addresses[connection.address] += 1
        crowd = ""
        if self._addresses[connection.address] > self.each:
            crowd = connection.address
        elif len(self._all) > self.most:
            crowd = self._addresses.most_common(1)[0][0]
        if crowd:
            candidates = [other for other in self._all if other.address == crowd and other.waits]
            self.cut_off(min(candidates, key=lambda other: other.since, default=connection), "room")

    def leave(self, connection: Watched | Talking) -> None:
        """Forget ``connection``, which is closed."""
        if connection in self._all:
            del self._all[connection]
            self._addresses[connection.address] -= 1
            self._addresses += Counter()  # without those of none

    def cut_off(self, connection: Watched | Talking, why: str) -> None:
        """Close ``connection`` at once. The log has at most one line per minute; the metrics count
        each."""
        self.leave(connection)
        self.cut[why] += 1
        connection.transport.abort()
        now = asyncio.get_running_loop().time()
        if now >= self._told + OFTEN:
            self._told = now
            log.warning(
                "closed a connection of %s: %s; %d closed so far, %d open",
                connection.address,
                REASONS[why],
                sum(self.cut.values()),
                len(self._all),
            )

    @property
    def protocol(self) -> type[asyncio.Protocol]:
        """For ``uvicorn.Config(http=...)``."""
        return cast("type[asyncio.Protocol]", partial(Watched, room=self))

    @property
    def live(self) -> type[asyncio.Protocol]:
        """For ``uvicorn.Config(ws=...)``."""
        return cast("type[asyncio.Protocol]", partial(Talking, room=self))


REASONS = {
    "head": "it sent no whole head of a request in time",
    "body": "it sent no whole request in time",
    "reading": "it did not read its answer in time",
    "room": "there was no room for a new one, and it had waited longest",
}


class Watched(H11Protocol):
    """uvicorn's protocol, with deadlines."""

    def __init__(self, *args: Any, room: Room, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.room, self.address = room, ""
        self.waits, self.since = "", 0.0  # what it waits for, and since when
        self._unread = self._handed_on = False
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.address = _address(transport)
        self._look()
        self.room.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.leave(self)
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._look()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._handed_on = True
        self.room.leave(self)
        if self._timer:
            self._timer.cancel()
        super().handle_websocket_upgrade(event)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._look()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = True
        self._look()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread = False
        self._look()

    def _look(self) -> None:
        """Restart the clock when the connection begins to wait for something else."""
        waits = ""
        if self._unread or self.transport.is_closing():
            waits = "reading"
        elif self.conn.their_state is h11.IDLE:
            waits = "head"
        elif self.conn.their_state is h11.SEND_BODY:
            waits = "body"
        if waits == self.waits or self._handed_on:
            return
        self.waits, self.since = waits, self.loop.time()
        if self._timer:
            self._timer.cancel()
        self._timer = None
        if waits:
            after = self.room.deadlines[waits]
            self._timer = self.loop.call_later(after, self.room.cut_off, self, waits)


class Talking(WebSocketsSansIOProtocol):
    """uvicorn's protocol of a WebSocket, with a deadline for a client that does not read. A client
    that sends nothing is the application's concern."""

    def __init__(self, *args: Any, room: Room, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.room, self.address = room, ""
        self.waits, self.since = "", 0.0  # as of a watched connection
        self._timer: asyncio.TimerHandle | None = None

    @property
    def closed_with(self) -> int | None:
        """The code with which the server has ended it, such as 1009 for a message that is too
        large; None if it has not, or if the client was first."""
        frame = self.conn.close_sent
        return frame.code if frame and not self.conn.close_rcvd_then_sent else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.address = _address(transport)
        self.room.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.room.leave(self)
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self.waits, self.since = "reading", self.loop.time()
        after = self.room.deadlines["reading"]
        self._timer = self.loop.call_later(after, self.room.cut_off, self, "reading")

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.handshake_initiated:  # websockets refuses the head, and uvicorn does not say so
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if self.response.status_code == 101:
            self.scope["state"]["connection"] = self

    async def send(self, message: Any) -> None:
        if self.close_sent and message["type"] in ("websocket.send", "websocket.close"):
            raise ClientDisconnected  # uvicorn has ended it; the application cannot know yet
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True  # or uvicorn logs an error for each refusal

    def resume_writing(self) -> None:
        super().resume_writing()
        self.waits = ""
        if self._timer:
            self._timer.cancel()
        self._timer = None


def _address(transport: asyncio.BaseTransport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else ""

"""Live audio over a WebSocket: samples in, defended samples out.

The client opens ``/defend/stream?rate=16000&format=pcm16``. The server says in JSON what it takes
and how far its output lags. Then binary messages of samples go both ways. The client ends with the
text ``{"type": "end"}``, and the server sends the rest, ``{"type": "done"}``, and closes.

An error before the handshake is an answer as on any other route. After it, an error is the same
JSON as a message, and the close frame has a code and the error's ``code`` as JSON.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import anyio
import torch
from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect
from torch import Tensor

from melmoat.audio import PCM16, RATE
from melmoat.defenses import Streamed
from melmoat.errors import MelmoatError
from melmoat.server.access import client_of, foreign
from melmoat.server.answers import Refusal, error_of
from melmoat.server.limits import Limits
from melmoat.server.middleware import Places
from melmoat.server.service import Service

STREAM = "/defend/stream"
FORMATS = {"pcm16": torch.int16, "float32": torch.float32}  # both little-endian
RATES = 8_000, 48_000  # Hz, lowest and highest
MESSAGE = 65_536  # most bytes of a message: 2 s of 16 bits at 16 kHz
LAST = 1.0  # seconds for a client to read an error
ENDED, ODD, POLICY, FAILED = 1000, 1003, 1008, 1011  # close codes of RFC 6455
SUBPROTOCOL = "melmoat"  # accepted where a page offers it, beside its key
log = logging.getLogger("melmoat.server")


class Broken(Exception):
    """An error after the handshake.

    Args:
        close: code of the close frame.
        code: a word for programs.
        message: what was expected, what came, what to do.
    """

    def __init__(self, close: int, code: str, message: str) -> None:
        super().__init__(message)
        self.close, self.code = close, code


class Streams:
    """What all live streams share: their places, and one thread that computes.

    It is beside the one for recordings, so a long recording delays no stream. Streams take turns
    message by message.
    """

    def __init__(self, limits: Limits) -> None:
        most, each = limits.streams, limits.streams_each
        self.places = Places(most, math.inf, lambda _: limits.idle, each, "streams are open")
        self.pool = ThreadPoolExecutor(1, "melmoat-streams")


def add_stream(app: FastAPI, service: Service, limits: Limits, origins: Collection[str]) -> Streams:
    """Add the route to ``app``."""
    streams = Streams(limits)

    @app.websocket(STREAM)
    async def stream(socket: WebSocket) -> None:
        """The defended samples of a live stream."""
        if origin := foreign(socket.scope, origins):
            message = f"pages of {origin[:100]!r} may not; start with --allow-origin ORIGIN"
            raise Refusal(403, message, code="origin_not_allowed")
        rate, kind = _asked(socket)
        if service.front is None:
            raise Refusal(404, "the defense is not a function of audio; ask for transcripts")
        with streams.places.one(client_of(socket.scope)):
            try:
                live = Streamed(service.front, rate, device=service.device)
            except MelmoatError as error:
                raise Refusal(400, str(error), code="not_streamable") from error
            offered = SUBPROTOCOL in socket.scope["subprotocols"]
            await socket.accept(SUBPROTOCOL if offered else None)
            try:
                await _Talk(socket, live, kind, service, limits, streams.pool).until_the_end()
                await socket.close(ENDED)
            except (WebSocketDisconnect, TimeoutError):  # it left, or does not read
                return
            except Broken as error:
                await _told(socket, error)
            except Exception:  # a user's defense may raise anything
                log.exception("a stream failed")
                why = "the server failed; its log says why"
                await _told(socket, Broken(FAILED, "server_error", why))

    return streams


class _Talk:
    """One stream between handshake and end."""

    def __init__(
        self,
        socket: WebSocket,
        live: Streamed,
        kind: str,
        service: Service,
        limits: Limits,
        pool: ThreadPoolExecutor,
    ) -> None:
        self.socket, self.live, self.kind = socket, live, kind
        self.service, self.limits, self.pool = service, limits, pool
        self.until = time.monotonic() + limits.stream_seconds

    async def until_the_end(self) -> None:
        """Answer messages until the client ends the stream.

        Raises:
            Broken: a message cannot be used, the client is silent, or the stream is too long.
            WebSocketDisconnect: the client has left.
            TimeoutError: the client does not read.
        """
        seconds, rate = self.limits.stream_seconds, self.live.rate
        about = {"rate": rate, "format": self.kind, "seconds": seconds, "message_bytes": MESSAGE}
        lag = {"latency_samples": self.live.latency, "latency_seconds": self.live.latency / rate}
        await self._say({"type": "ready", **about, **lag})
        while (samples := await self._next()) is not None:
            if self.live.samples + len(samples) > seconds * rate:
                raise self._too_long()
            await self._answer(partial(self.live.push, samples), len(samples))
        await self._answer(self.live.finish, 0)
        await self._say({"type": "done", "samples": self.live.samples})

    async def _next(self) -> Tensor | None:
        """The samples of the next message; None at the end."""
        left = self.until - time.monotonic()
        if left <= 0:  # a message that waits already would come in spite of a deadline
            raise self._too_long()
        try:
            with anyio.fail_after(min(self.limits.idle, left)):
                message = await self.socket.receive()
        except TimeoutError:
            if left <= self.limits.idle:
                raise self._too_long() from None
            said = f"no message for {self.limits.idle:g} s; send silence while there is no sound"
            raise Broken(POLICY, "idle", said) from None
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        if (content := message.get("bytes")) is None:
            if _is_end(message.get("text") or ""):
                return None
            said = 'expected binary messages of samples, or the text {"type": "end"}'
            raise Broken(ODD, "unsupported_message", said)
        return _samples(content, self.kind)

    async def _answer(self, work: Callable[[], Tensor], samples: int) -> None:
        def timed() -> tuple[Tensor, float]:
            began = time.perf_counter()
            return work(), time.perf_counter() - began

        try:
            out, spent = await asyncio.get_running_loop().run_in_executor(self.pool, timed)
        except MelmoatError as error:
            raise Broken(POLICY, "unusable_audio", str(error)) from error
        if not torch.isfinite(out).all():
            raise ValueError("the defense made NaN or Inf of audio that had none")
        self.service.streamed(samples / self.live.rate, spent)
        if len(out):
            with anyio.fail_after(self.limits.upload):
                await self.socket.send_bytes(_bytes(out, self.kind))

    async def _say(self, content: dict[str, Any]) -> None:
        with anyio.fail_after(self.limits.upload):
            await self.socket.send_text(json.dumps(content))

    def _too_long(self) -> Broken:
        said = f"a stream has at most {self.limits.stream_seconds:g} s; open another one"
        return Broken(POLICY, "too_long", said)


async def _told(socket: WebSocket, error: Broken) -> None:
    try:
        body = error_of(str(error), 500 if error.close == FAILED else 400, None, error.code)
        with anyio.fail_after(LAST):
            await socket.send_text(json.dumps(body))
            await socket.close(error.close, json.dumps({"code": error.code}))
    except (WebSocketDisconnect, TimeoutError):
        return


def _asked(socket: WebSocket) -> tuple[int, str]:
    """Rate and format of the address."""
    given = socket.query_params
    for name in given:
        if name not in ("rate", "format") or len(given.getlist(name)) > 1:
            said = f"{name[:100]!r}: known are rate and format, each once"
            raise Refusal(400, said, name, "unknown_parameter")
    rate, kind = given.get("rate", str(RATE)), given.get("format", "pcm16")
    if not (rate.isascii() and rate.isdigit() and RATES[0] <= int(rate[:9]) <= RATES[1]):
        said = f"rate: from {RATES[0]} to {RATES[1]} Hz; got {rate[:100]!r}"
        raise Refusal(400, said, "rate", "unsupported_value")
    if kind not in FORMATS:
        said = f"format: {' or '.join(FORMATS)}; got {kind[:100]!r}"
        raise Refusal(400, said, "format", "unsupported_value")
    return int(rate), kind


def _is_end(text: str) -> bool:
    try:
        return bool(json.loads(text) == {"type": "end"})
    except ValueError:
        return False


def _samples(content: bytes, kind: str) -> Tensor:
    dtype = FORMATS[kind]
    if len(content) % dtype.itemsize:
        said = f"{len(content)} bytes are no whole number of {kind} samples"
        raise Broken(ODD, "unsupported_message", said)
    if not content:
        return torch.zeros(0)
    read = torch.frombuffer(bytearray(content), dtype=dtype)
    return read if kind == "float32" else read.float() / PCM16


def _bytes(samples: Tensor, kind: str) -> bytes:
    if kind == "pcm16":
        samples = (samples * PCM16).round().clamp(-PCM16, PCM16 - 1).to(torch.int16)
    return samples.numpy().tobytes()

"""Forwards defended recordings to another server with OpenAI's interface.

The form of a client is passed on with the defended recording in place of its own. Its other fields
are not interpreted. Of the client's headers only the request id is passed on. So the client's key
stays here, and the key of the upstream server stays between the two servers.
"""

from __future__ import annotations

import json
import logging
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from melmoat import __version__
from melmoat.errors import MelmoatError
from melmoat.server.answers import Refusal, error_of
from melmoat.server.log import HEADER, request_id
from melmoat.server.middleware import while_there

CONNECT = 5.0  # seconds to connect
IDLE = 2.0  # seconds to keep a connection; servers close theirs after 5 or more
LARGEST = 16_000_000  # most bytes of an answer that is not a stream
OWN_FAULT = (401, 403, 407)  # about the key of this server, so not the client's business
PASSED = ("content-type", "content-language", "content-disposition", "cache-control", "retry-after")
EVENTS = "text/event-stream"
log = logging.getLogger("melmoat.server")


@dataclass(frozen=True)
class Upstream:
    """A server with OpenAI's interface.

    Args:
        address: as OpenAI's clients take it, such as ``http://127.0.0.1:8001/v1``.
        key: the key of this front-end at that server; None sends none.

    Raises:
        MelmoatError: ``address`` is not such an address.
    """

    address: str
    key: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.address)
            httpx.URL(self.address)  # it refuses more than urlsplit
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except (ValueError, httpx.InvalidURL) as error:
            raise MelmoatError(f"--upstream: not an address ({error})") from error
        if "@" in parts.netloc:  # others could read it in the command line
            raise MelmoatError("--upstream: no user or password there; use --upstream-key-file")
        if not usable or parts.query or parts.fragment:
            raise MelmoatError(
                f"--upstream: expected http://HOST:PORT/v1 or https://..., got {self.address!r}"
            )
        object.__setattr__(self, "address", self.address.rstrip("/"))


def key_in(file: Path) -> str:
    """The key in a file, which has nothing else.

    Raises:
        MelmoatError: the file cannot be read, or does not have one key.
    """
    try:
        words = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise MelmoatError(f"--upstream-key-file {file}: cannot be read ({error})") from error
    if len(words) != 1 or not words[0].isascii() or not words[0].isprintable():
        raise MelmoatError(f"--upstream-key-file {file}: expected one key in it and nothing else")
    return words[0]


class Forwarder:
    """Asks an upstream server, from :meth:`open` to :meth:`close`.

    Args:
        upstream: the server.
        deadline: most seconds for an answer to a question without a recording.

    Attributes:
        calls: number of recordings that the upstream server has.
    """

    def __init__(self, upstream: Upstream, deadline: float) -> None:
        self._upstream, self._deadline, self.calls = upstream, deadline, 0

    def open(self) -> None:
        """Get ready. No connection is made yet."""
        headers = {"User-Agent": f"melmoat/{__version__}", "Accept-Encoding": "identity"}
        if self._upstream.key:
            headers["Authorization"] = f"Bearer {self._upstream.key}"
        nobody = DefaultCookiePolicy(allowed_domains=[])  # a cookie would link the clients
        self._client = httpx.AsyncClient(
            headers=headers,
            cookies=CookieJar(nobody),
            limits=httpx.Limits(max_connections=None, keepalive_expiry=IDLE),
            timeout=httpx.Timeout(None, connect=CONNECT),  # the caller's deadline is for the rest
            trust_env=False,  # no key from .netrc, no proxy that nobody chose
            verify=ssl.create_default_context(),  # the certificates of the system
        )

    async def close(self) -> None:
        """End the connections."""
        await self._client.aclose()

    async def get(self, request: Request, path: str) -> Response:
        """The upstream server's answer to ``GET path``.

        Raises:
            Refusal: there is none, or not in time.
        """
        call = self._client.build_request("GET", self._url(path), headers=_named(request))
        answer, body = await while_there(request, self._answered(call), self._deadline)
        return Response(body, answer.status_code, _passed(answer))

    async def post(
        self,
        request: Request,
        path: str,
        fields: Sequence[tuple[str, str]],
        wav: bytes,
        until: float,
        headers: Mapping[str, str],
        held: AsyncExitStack,
    ) -> Response:
        """The upstream server's answer about a recording. Events pass as they come.

        Args:
            request: of the client. If it leaves, the upstream call is cancelled.
            path: from the upstream address.
            fields: names and values, passed on as they are.
            wav: the defended recording.
            until: time of the deadline, on the monotonic clock.
            headers: added to the answer.
            held: what to close after the answer; for events that is after the last one.

        Raises:
            Refusal: there is no answer, or not in time.
        """
        parts = [(name, (None, value.encode())) for name, value in fields]
        recording = ("file", ("recording.wav", wav, "audio/wav"))
        url, name = self._url(path), _named(request)
        call = self._client.build_request("POST", url, files=[*parts, recording], headers=name)
        held.enter_context(self._counted())
        answer, body = await while_there(request, self._answered(call), until - time.monotonic())
        headers = {**_passed(answer), **headers}
        if body is not None:
            return Response(body, answer.status_code, headers)
        held.push_async_callback(answer.aclose)
        stream = self._events(answer, until, request_id(request.scope))
        return _Relay(held.pop_all(), stream, answer.status_code, headers)

    async def _answered(self, call: httpx.Request) -> tuple[httpx.Response, bytes | None]:
        """The answer and its body; None if it has events, which are still to come."""
        name = call.headers[HEADER]
        try:
            answer = await self._client.send(call, stream=True)
            try:
                self._check(answer, name)
                kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
                if kind == EVENTS:
                    return answer, None
                body = await self._read(answer, name)
            except BaseException:
                with anyio.CancelScope(shield=True):
                    await answer.aclose()
                raise
        except httpx.RequestError as error:
            raise self._failed(error, name) from error
        return answer, body

    def _check(self, answer: httpx.Response, name: str) -> None:
        status = answer.status_code
        if status in OWN_FAULT:
            why = f"it answered {status}; see --upstream-key-file"
            raise self._broken("the upstream server does not accept this front-end", why, name)
        if not (200 <= status < 300 or status >= 400):
            location = answer.headers.get("location", "")
            why = f"it answered {status} (location: {location[:200]!r}); redirects are not followed"
            raise self._broken("the upstream server gave no answer", why, name)

    async def _read(self, answer: httpx.Response, name: str) -> bytes:
        parts, size = [], 0
        async for part in answer.aiter_bytes():
            parts.append(part)
            size += len(part)
            if size > LARGEST:
                why = f"more than {LARGEST:,} bytes"
                raise self._broken("the upstream server's answer is too long", why, name)
        return b"".join(parts)

    async def _events(
        self, answer: httpx.Response, until: float, name: str
    ) -> AsyncIterator[bytes]:
        """The events as they come. If they break off, the last one is an error."""
        parts = answer.aiter_bytes()
        while True:
            try:
                with anyio.fail_after(max(0.0, until - time.monotonic())):
                    part = await parts.__anext__()
            except StopAsyncIteration:
                return
            except TimeoutError:
                late = "the answer did not end in time; send less audio, or come again later"
                yield _last(Refusal(504, late, code="timeout"))
                return
            except httpx.RequestError as error:
                yield _last(self._failed(error, name))
                return
            yield part

    def _failed(self, error: httpx.RequestError, name: str) -> Refusal:
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            message, code = "the upstream server cannot be reached", "upstream_unreachable"
        else:
            message, code = "the upstream server broke off its answer", "upstream_broken"
        return self._broken(message, why, name, code)

    def _broken(self, message: str, why: str, name: str, code: str = "upstream_broken") -> Refusal:
        """502. Only the log tells where the upstream server is, and what it said."""
        log.warning("%s: upstream %s: %s", name, self._upstream.address, why)
        return Refusal(502, f"{message}; the log of this server says more", code=code)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    def _url(self, path: str) -> str:
        return f"{self._upstream.address}/{path}"


class _Relay(StreamingResponse):
    """Closes what is held after the last part, or when the client leaves."""

    def __init__(
        self,
        held: AsyncExitStack,
        parts: AsyncIterator[bytes],
        status: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(parts, status, headers)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._held.aclose()


def _named(request: Request) -> dict[str, str]:
    return {HEADER: request_id(request.scope)}


def _passed(answer: httpx.Response) -> dict[str, str]:
    """The headers that are about the answer, not about the connection or the server."""
    return {name: answer.headers[name] for name in PASSED if name in answer.headers}


def _last(refusal: Refusal) -> bytes:
    """An error as an event, behind whatever came of the one before."""
    error = error_of(str(refusal.detail), refusal.status_code, code=refusal.code)
    return f"\n\ndata: {json.dumps(error)}\n\n".encode()

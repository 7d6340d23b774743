"""Reads the form of a request completely and in time, before any other work on it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import anyio
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from melmoat.server.answers import LEFT, Refusal
from melmoat.server.limits import Limits

FILES, FIELDS = 4, 64  # most parts of a form
MISSING = "send the recording as a multipart field: curl -F file=@call.wav"


class Intake:
    """Reads forms.

    Attributes:
        uploads: number of forms that are being read.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits, self.uploads = limits, 0

    @asynccontextmanager
    async def form(self, request: Request) -> AsyncIterator[FormData]:
        """The form; its files are closed at the end.

        Raises:
            Refusal: it is not a form, the client is too slow, or there is no room to store it.
        """
        kind, _ = parse_options_header(request.headers.get("content-type", ""))
        if kind != b"multipart/form-data":
            raise Refusal(400, f"file: {MISSING}", "file")
        self.uploads += 1
        try:
            form = await self._read(request)
        finally:
            self.uploads -= 1
        try:
            yield form
        finally:
            await form.close()

    async def _read(self, request: Request) -> FormData:
        bounds = {"max_files": FILES, "max_fields": FIELDS}
        try:
            with anyio.fail_after(self._limits.upload):
                async with aclosing(_steady(request, self._limits.idle)) as body:
                    return await _Parser(request.headers, body, **bounds).parse()
        except TimeoutError as error:  # which is an OSError too
            idle, upload = self._limits.idle, self._limits.upload
            message = (
                f"the body did not arrive in time: within {upload:g} s, and without a pause "
                f"of {idle:g} s"
            )
            raise Refusal(408, message, headers={"Connection": "close"}) from error
        except MultiPartException as error:
            raise Refusal(400, f"the form cannot be read: {error.message}") from error
        except ClientDisconnect as error:
            raise Refusal(LEFT, "the connection ended before the body had arrived") from error
        except OSError as error:
            message = f"the server cannot keep the upload: {error.strerror or error}"
            raise Refusal(507, message) from error


async def _steady(request: Request, idle: float) -> AsyncGenerator[bytes, None]:
    """The body. Raises TimeoutError if no part of it arrives for ``idle`` seconds."""
    stream = request.stream()
    while True:
        with anyio.fail_after(idle):
            try:
                part = await stream.__anext__()
            except StopAsyncIteration:
                return
        yield part


class _Parser(MultiPartParser):
    """Reads the part ``file`` as a file even without a file name, or with one in the longer
    spelling only (``filename*``). Otherwise it would be read as text."""

    def on_headers_finished(self) -> None:
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name") == b"file" and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename="file"'
        super().on_headers_finished()

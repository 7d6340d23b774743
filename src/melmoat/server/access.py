"""Who may use the server: keys of clients."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
from collections.abc import Collection
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from melmoat.errors import MelmoatError
from melmoat.server.answers import error_answer

VARIABLE = "MELMOAT_API_KEY"
OPEN = ("/health", "/ready")  # for the machines that watch the server
SUBPROTOCOL = "api-key."
SHORTEST = 16  # characters of a key


def keys_of(file: Path | None) -> tuple[str, ...]:
    """The keys in a file, one a line, and the one in the environment.

    Empty lines and lines that begin with ``#`` do not count.

    Raises:
        MelmoatError: the file cannot be read or has no key, or a key is too short.
    """
    keys = [os.environ[VARIABLE].strip()] if VARIABLE in os.environ else []
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise MelmoatError(f"--api-key-file {file}: cannot be read ({error})") from error
        found = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        if not found:
            raise MelmoatError(f"--api-key-file {file}: no key in it; write one a line")
        keys += found
    for key in keys:
        if len(key) < SHORTEST or not key.isascii() or not key.isprintable() or " " in key:
            where = f"{VARIABLE}: " if VARIABLE in os.environ and key == keys[0] else ""
            raise MelmoatError(
                f"{where}an API key needs {SHORTEST} or more plain characters without spaces; "
                "`openssl rand -hex 32` prints one"
            )
    return tuple(keys)


class Keys:
    """Answers only requests with one of these keys, as ``Authorization: Bearer KEY``.

    :data:`OPEN` needs none. Pages in a browser cannot set this header on a WebSocket; they offer
    the key as a subprotocol, ``api-key.KEY``.
    """

    def __init__(self, app: ASGIApp, keys: Collection[str]) -> None:
        self.app, self.keys = app, [_digest(key) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and route_of(scope) not in OPEN:
            given = Headers(scope=scope).get("authorization", "") or _offered(scope)
            scheme, _, key = given.partition(" ")
            asked = _digest(key.strip())
            known = [hmac.compare_digest(asked, one) for one in self.keys]  # all, for equal time
            if scheme.lower() != "bearer" or not any(known):
                message = (
                    "the API key is not known here"
                    if given
                    else "no API key; send it as `Authorization: Bearer KEY`"
                )
                challenge = {"WWW-Authenticate": "Bearer"}
                refused = error_answer(message, 401, challenge, code="invalid_api_key")
                await refused(scope, receive, send)
                return
            scope.setdefault("state", {})["client"] = f"key {asked.hex()}"
        await self.app(scope, receive, send)


def client_of(scope: Scope) -> str:
    """Who sends a request: the holder of its key, else its address. Of an IPv6 address the first 64
    bits count, because one client has the others to choose from."""
    if holder := scope.get("state", {}).get("client"):
        return str(holder)
    address = (scope.get("client") or ("",))[0]
    try:
        found = ipaddress.ip_address(address)
        if mapped := getattr(found, "ipv4_mapped", None):  # an IPv4 client of an IPv6 socket
            return str(mapped)
        if found.version == 6:
            return str(ipaddress.ip_network((address, 64), strict=False))
    except ValueError:  # a socket of the file system, or a test
        pass
    return str(address)


def foreign(scope: Scope, origins: Collection[str]) -> str:
    """The origin of the web page that opens a WebSocket, if it is neither this server nor one of
    ``origins``; else an empty text. Browsers let any page open one and leave this check to the
    server. Programs send no origin."""
    headers = Headers(scope=scope)
    origin = headers.get("origin", "")
    own = origin.partition("://")[2] == headers.get("host")
    return "" if own or origin in origins or "*" in origins else origin


def route_of(scope: Scope) -> str:
    """The path of a request without the prefix of a proxy (``--root-path``)."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", "").rstrip("/"))


def _offered(scope: Scope) -> str:
    """The key that a page offers as a subprotocol, as the header would have it."""
    for name in scope.get("subprotocols", ()):
        if name.startswith(SUBPROTOCOL):
            return f"Bearer {name.removeprefix(SUBPROTOCOL)}"
    return ""


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()

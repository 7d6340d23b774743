"""The server around the page, with the bounds of ``melmoat serve``."""

from __future__ import annotations

import math
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request, Response
from gradio.utils import get_upload_folder

from melmoat.assets import asset
from melmoat.audio import RATE
from melmoat.server.answers import error_answer
from melmoat.server.decoding import Decoder
from melmoat.server.limits import Limits
from melmoat.server.metrics import Figures
from melmoat.server.middleware import Bounded, Hosts, Places
from melmoat.server.running import run as serve
from melmoat.studio.page import Page
from melmoat.studio.session import Session
from melmoat.studio.showing import TEMPLATES

FORM = 1.0  # megabytes of a request beside its recording
UPLOADS = 100  # of the largest size, that are kept at once
GRACE = 2  # seconds for open requests when the server stops; a page holds one open all the time
# The page may load nothing from elsewhere, whatever its parts would like to.
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; frame-ancestors 'self'"
)


def create_app(session: Session, hosts: Collection[str] = ()) -> FastAPI:
    """The page as an application.

    Args:
        hosts: host names that requests may use; empty allows any.
    """
    limits = limits_of(session)
    decoder = Decoder(RATE, limits)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        decoder.start()
        yield
        decoder.close()

    app = FastAPI(lifespan=life, openapi_url=None)
    app.state.figures = Figures()

    @app.middleware("http")
    async def policy(
        request: Request, answer: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        refusal = _refusal(request.scope["path"], UPLOADS * limits.megabytes * 1e6)
        response = error_answer(*refusal) if refusal else await answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    app.add_middleware(
        Bounded,
        size=int((limits.megabytes + FORM) * 1e6),
        places=Places(limits.connections, math.inf, lambda seconds: 0.0),
    )
    if hosts:
        app.add_middleware(Hosts, names=hosts)
    gr.mount_gradio_app(
        app,
        Page(session, decoder).blocks,
        path="/",
        footer_links=[],
        run_history=False,
        allowed_paths=[str(asset("demo"))],
        show_error=False,
        max_file_size=int(limits.megabytes * 1e6),
        ssr_mode=False,
        mcp_server=False,
        enable_monitoring=False,
        theme=theme(),
        css=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
    )
    return app


def _refusal(path: str, most: float) -> tuple[str, int] | None:
    """Why a request for ``path`` is refused: Gradio would fetch an address for anybody, and keep
    any number of uploads for a while; ``most`` bytes of them are kept here."""
    if re.search("/(proxy=|file=https?:)", path):
        return "this page fetches no addresses", 403
    if path.rstrip("/").endswith("/upload") and _kept(Path(get_upload_folder())) > most:
        return "this page keeps too many recordings already; come back in an hour", 507
    return None


def _kept(folder: Path) -> int:
    size = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # deleted meanwhile
            size += file.stat().st_size
    return size


def theme() -> Any:
    """Gradio's own, with fonts of the visitor's system, and with colours that can be read on their
    backgrounds (WCAG 2, 4.5 to 1)."""
    made = gr.themes.Default(
        primary_hue="sky",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return made.set(
        body_text_color_subdued="*neutral_600",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )


def limits_of(session: Session) -> Limits:
    """The limits of connections and files that a page of these bounds has."""
    bounds = session.bounds
    return Limits(longest=bounds.longest, megabytes=bounds.megabytes)


def run(session: Session, host: str, port: int, hosts: Collection[str] = ()) -> None:
    """Serve the page until it is stopped. Recordings are in a folder that is then deleted."""
    with TemporaryDirectory(prefix="melmoat-studio-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        serve(create_app(session, hosts), host, port, limits_of(session), GRACE)

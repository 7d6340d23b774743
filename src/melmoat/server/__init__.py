"""The production front-end: a defense, and if wanted the recognizer behind it, over HTTP.

``melmoat serve`` runs it. The parts: what is served (:mod:`melmoat.server.service`) and gathers
requests into batches (:mod:`melmoat.server.batching`), the routes (:mod:`melmoat.server.app`), how
a request is read (:mod:`melmoat.server.intake`, :mod:`melmoat.server.fields`) and decoded
(:mod:`melmoat.server.decoding`), and what stands around it all: :mod:`melmoat.server.middleware`,
:mod:`melmoat.server.log` and :mod:`melmoat.server.connections`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from melmoat.server.limits import Limits

if TYPE_CHECKING:
    from melmoat.server.app import create_app
    from melmoat.server.running import run

__all__ = ["Limits", "create_app", "run"]


def __getattr__(name: str) -> Any:  # the process that decodes is in here, and needs no torch
    if name == "create_app":
        from melmoat.server.app import create_app

        return create_app
    if name == "run":
        from melmoat.server.running import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

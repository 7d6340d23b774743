"""The production front-end: a defense, and optionally the recognizer behind it, over HTTP.

``melmoat serve`` runs it. Its modules: :mod:`melmoat.server.service` is what is served,
:mod:`melmoat.server.batching` gathers requests into batches, and :mod:`melmoat.server.app` has the
routes. :mod:`melmoat.server.intake` and :mod:`melmoat.server.fields` read a request,
:mod:`melmoat.server.decoding` decodes its recording. :mod:`melmoat.server.middleware`,
:mod:`melmoat.server.log` and :mod:`melmoat.server.connections` surround all of these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from melmoat.server.limits import Limits

if TYPE_CHECKING:
    from melmoat.server.app import create_app
    from melmoat.server.running import run

__all__ = ["Limits", "create_app", "run"]


def __getattr__(name: str) -> Any:  # the decoding process is in this package and needs no torch
    if name == "create_app":
        from melmoat.server.app import create_app

        return create_app
    if name == "run":
        from melmoat.server.running import run

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The production front-end: a defense, and if wanted the recognizer behind it, over HTTP.

``melmoat serve`` runs it. The parts: what gathers requests into batches
(:mod:`melmoat.server.batching`), what is served (:mod:`melmoat.server.service`), the routes
(:mod:`melmoat.server.app`) and what stands around them (:mod:`melmoat.server.edge`).
"""

from melmoat.server.app import create_app
from melmoat.server.service import Limits

__all__ = ["Limits", "create_app"]

"""The production front-end: a defense, and if wanted the recognizer behind it, over HTTP.

``melmoat serve`` runs it. The parts are a queue that gathers what waits into batches
(:mod:`melmoat.server.batching`) and the routes (:mod:`melmoat.server.app`).
"""

from melmoat.server.app import Limits, create_app

__all__ = ["Limits", "create_app"]

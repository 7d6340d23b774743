"""What the server takes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the server takes.

    Args:
        batch: recordings transcribed together, at most. Defended they are one by one, since a batch
            takes a CPU no less time (``benchmarks/serving.py``).
        seconds: audio of a batch, padding included.
        longest: seconds of one recording.
        megabytes: of one request.
        waiting: requests at once whose body has arrived; the next is told to come again.
        queue: seconds of work, predicted, that may stand before a recording; where there is more,
            it is told to come again.
        upload: seconds that a request's body may take to arrive.
        idle: seconds that a client may send nothing, in the head of a request or in its body.
        connections: at once, from everywhere.
        each: connections at once from one address.
    """

    batch: int = 8
    seconds: float = 120
    longest: float = 60
    megabytes: float = 25
    waiting: int = 64
    queue: float = 60
    upload: float = 120
    idle: float = 10
    connections: int = 512
    each: int = 256

"""The limits of the server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The limits of the server.

    Args:
        batch: most recordings that are transcribed together. They are defended one by one, because
            a batch is no faster on a CPU (``benchmarks/serving.py``).
        seconds: most audio in a batch, with padding.
        longest: most seconds of one recording.
        megabytes: most megabytes of one request.
        waiting: most requests whose body has arrived; further ones are refused with 503.
        queue: most predicted seconds of work before a recording; otherwise it is refused with 503.
        upload: seconds in which a request's body must arrive.
        idle: seconds for which a client may send nothing, in the head of a request or in its body.
        connections: most connections.
        each: most connections from one address.
        deadline: most seconds between the arrival of a body and its answer; then 504.
        waiting_each: most requests of one client whose body has arrived; then 429.
        streams: most live streams; then 503.
        streams_each: most live streams of one client; then 429.
        stream_seconds: most seconds of one live stream, of audio and of time.
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
    deadline: float = 120
    waiting_each: int = 32
    streams: int = 8
    streams_each: int = 4
    stream_seconds: float = 3600

"""The metrics of ``GET /metrics``."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)


class Figures:
    """The metrics of one application. Seconds of work per second of audio is the real-time
    factor."""

    def __init__(self) -> None:
        self._all = CollectorRegistry()
        self._requests = Counter(
            "melmoat_requests", "Requests", ["route", "status"], registry=self._all
        )
        self._seconds = Histogram(
            "melmoat_request_seconds", "From request to answer", ["route"], registry=self._all
        )
        ProcessCollector(registry=self._all)
        self._waiting = Gauge("melmoat_waiting", "Recordings waiting", ["work"], registry=self._all)
        self._audio = Counter(
            "melmoat_audio_seconds", "Audio computed", ["work"], registry=self._all
        )
        self._spent = Counter(
            "melmoat_work_seconds", "Time computing it", ["work"], registry=self._all
        )
        self._batches = Histogram(
            "melmoat_batch_recordings",
            "Recordings computed together",
            ["work"],
            buckets=[1, 2, 4, 8, 16, 32],
            registry=self._all,
        )

    def shows(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a metric whose value is read on demand."""
        Gauge(f"melmoat_{name}", meaning, registry=self._all).set_function(value)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request and its duration."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, work: str, recordings: int, audio: float, spent: float) -> None:
        """Count a computed batch with its seconds of audio and of work."""
        self._batches.labels(work).observe(recordings)
        self._audio.labels(work).inc(audio)
        self._spent.labels(work).inc(spent)

    def waits(self, work: str, waiting: Callable[[], float]) -> None:
        """Add the length of a queue, which is read on demand."""
        self._waiting.labels(work).set_function(waiting)

    def text(self) -> bytes:
        """All metrics in Prometheus's format."""
        return generate_latest(self._all)

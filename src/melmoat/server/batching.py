"""Computes waiting requests together.

While one batch is computed, others arrive. The next batch is made of the waiting ones. So a single
request does not wait, and many requests share their passes. Up to its own noise, an utterance has
the same result alone and in any batch. So no answer depends on other requests.

A recording's rank is its arrival time plus its own length, and the lowest rank goes first. So a
short recording can pass a long one that came a little earlier. No recording is passed for longer
than its own duration.
"""

from __future__ import annotations

import asyncio
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws, secret

PADDED = 1.25  # most seconds of padded audio in a batch per second of audio
FADE = 0.8  # weight of a batch in the pace, relative to the next batch
T = TypeVar("T")


@dataclass(eq=False)
class _Request:
    wave: Tensor
    answer: Future[Any]
    seconds: float
    turn: float


@dataclass
class Pace:
    """Recent seconds of work per second of audio: the real-time factor."""

    audio: float = 0.0
    work: float = 0.0

    def note(self, audio: float, work: float) -> None:
        """Record a batch that was computed."""
        self.audio, self.work = FADE * self.audio + audio, FADE * self.work + work

    def of(self, audio: float) -> float:
        """The predicted work for ``audio`` seconds; 0 before the first batch."""
        return audio * self.work / self.audio if self.audio else 0.0


class Batcher(Generic[T]):
    """One thread that computes waiting recordings, from :meth:`start` to :meth:`close`.

    Args:
        work: computes a batch; one answer per recording.
        rate: rate of every recording, Hz.
        batch: most recordings in a batch.
        seconds: most audio in a batch, with padding; a longer recording goes alone.
        watch: called for each batch with recordings, seconds of audio, seconds of work.
        pace: the recent speed of the work.
        clock: returns seconds.
    """

    def __init__(
        self,
        work: Callable[[Audio, Draws], Sequence[T]],
        rate: int,
        batch: int,
        seconds: float,
        watch: Callable[[int, float, float], None] = lambda recordings, audio, work: None,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work, self._rate, self._watch = work, rate, watch
        self._batch, self._seconds = batch, seconds
        self._pace, self._clock = pace or Pace(), clock
        self._waiting: list[_Request] = []  # the oldest first
        self._running = self._since = 0.0  # seconds of audio computed now, and since when
        self._changed, self._open = threading.Condition(), False

    def start(self) -> None:
        """Begin to answer."""
        self._open = True
        self._thread = threading.Thread(target=self._run, name="melmoat-batches", daemon=True)
        self._thread.start()

    async def __call__(self, wave: Tensor) -> T:
        """The answer for ``wave``, with fresh secret noise. Shape: ``[L]``.

        A caller that is cancelled before its batch begins costs nothing.

        Raises:
            RuntimeError: the batcher is not running.
        """
        seconds = len(wave) / self._rate
        request = _Request(wave, Future(), seconds, self._clock() + seconds)
        with self._changed:
            if not self._open:
                raise RuntimeError("the batcher is not running")
            self._waiting.append(request)
            self._changed.notify()
        try:
            answer: T = await asyncio.wrap_future(request.answer)
        except asyncio.CancelledError:
            with self._changed:
                if request in self._waiting:
                    self._waiting.remove(request)
            raise
        return answer

    @property
    def waiting(self) -> int:
        """Number of waiting recordings."""
        return len(self._waiting)

    @property
    def age(self) -> float:
        """Seconds for which the oldest recording has waited; 0 if none waits."""
        arrived = [request.turn - request.seconds for request in list(self._waiting)]
        return self._clock() - min(arrived) if arrived else 0.0

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._open and self._thread.is_alive()

    def ahead(self, seconds: float) -> float:
        """Predicted seconds of work before a new recording of this many seconds."""
        turn = self._clock() + seconds
        audio = sum(request.seconds for request in list(self._waiting) if request.turn <= turn)
        running = self._pace.of(self._running) - (self._clock() - self._since)
        return self._pace.of(audio) + (max(0.0, running) if self._running else 0.0)

    def close(self) -> None:
        """Answer waiting requests, then stop."""
        with self._changed:
            self._open = False
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while batch := self._gathered():
            if running := [
                request for request in batch if request.answer.set_running_or_notify_cancel()
            ]:
                self._since = self._clock()
                self._running = sum(request.seconds for request in running)
                self._answer(running)
                self._running = 0.0

    def _gathered(self) -> list[_Request]:
        """The request with the lowest rank and, as long as they fit, those nearest to it in length.
        Blocks until there is one; empty at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._open)
            if not self._waiting:
                return []
            first, *others = sorted(self._waiting, key=lambda request: request.turn)
            gathered, longest, total = [first], len(first.wave), len(first.wave)
            for request in sorted(
                others, key=lambda request: abs(len(request.wave) - len(first.wave))
            ):
                longest, total = max(longest, len(request.wave)), total + len(request.wave)
                padded = longest * (len(gathered) + 1)
                if len(gathered) == self._batch or padded > min(
                    self._seconds * self._rate, PADDED * total
                ):
                    break
                gathered.append(request)
            self._waiting = [request for request in self._waiting if request not in gathered]
            return gathered

    def _answer(self, requests: list[_Request]) -> None:
        """Answer all requests: on any error, each still gets an answer and the thread continues."""
        answers: list[T] | None = None
        try:
            audio = Audio.of([request.wave for request in requests], self._rate)
            began = time.perf_counter()
            with torch.no_grad():
                results = list(self._work(audio, Draws(secret() for _ in requests)))
            spent = time.perf_counter() - began
            if len(results) != len(requests):
                raise ValueError(f"{len(results)} answers for {len(requests)} recordings")
            answers = results
        except BaseException as error:  # a user's defense may raise anything
            if len(requests) == 1:
                known = isinstance(error, Exception)
                traceback.clear_frames(error.__traceback__)  # they hold the memory of the work
                failure = error if known else RuntimeError(f"the work raised {error!r}")
                requests[0].answer.set_exception(failure)
                return
        if answers is None:  # one of them may be at fault, the others are not; and the handler's
            for request in requests:  # traceback, which held the memory of all, is gone
                self._answer([request])
            return
        seconds = sum(request.seconds for request in requests)
        self._pace.note(seconds, spent)
        self._watch(len(requests), seconds, spent)
        for request, answer in zip(requests, answers, strict=True):
            request.answer.set_result(answer)

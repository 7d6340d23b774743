"""Requests that wait are computed together.

While one batch is computed, others come in; the next batch is made of those that wait, so a lone
request waits for nobody and many share their passes. An utterance's result is the same alone and in
any batch, up to its own noise, so nobody's answer depends on who else asks.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws, secret
from melmoat.errors import MelmoatError

T = TypeVar("T")
log = logging.getLogger(__name__)


class Crowded(MelmoatError):
    """More requests wait than the server takes."""


@dataclass
class _Request:
    wave: Tensor
    answer: Future[Any]


class Batcher(Generic[T]):
    """One thread that works off a queue of utterances.

    Args:
        work: what is done with a batch; one answer an utterance.
        rate: of every utterance, Hz.
        batch: most utterances of a batch.
        seconds: most audio of a batch, padding included; a longer utterance goes alone.
        waiting: most utterances that wait.
        watch: told of each batch: utterances, seconds of audio, seconds of work.
    """

    def __init__(
        self,
        work: Callable[[Audio, Draws], Sequence[T]],
        rate: int,
        batch: int,
        seconds: float,
        waiting: int,
        watch: Callable[[int, float, float], None] = lambda utterances, audio, work: None,
    ) -> None:
        self._work, self._rate, self._watch = work, rate, watch
        self._batch, self._seconds = batch, seconds
        self._queue: queue.Queue[_Request | None] = queue.Queue(waiting)
        self._held: _Request | None = None  # it did not fit into the last batch
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="melmoat-batches", daemon=True)
        self._thread.start()

    async def __call__(self, wave: Tensor) -> T:
        """The answer for ``wave``; drawn from noise that nobody knows. Shape: ``[L]``.

        A caller that is cancelled before its batch begins costs nothing.

        Raises:
            Crowded: as many wait as may.
        """
        request = _Request(wave, Future())
        try:
            self._queue.put_nowait(request)
        except queue.Full as error:
            raise Crowded(f"{self._queue.maxsize} requests wait already; try again") from error
        answer: T = await asyncio.wrap_future(request.answer)
        return answer

    @property
    def waiting(self) -> int:
        """Utterances in the queue, about."""
        return self._queue.qsize()

    def close(self) -> None:
        """Answer what waits, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while batch := self._gathered():
            if running := [one for one in batch if one.answer.set_running_or_notify_cancel()]:
                self._answer(running)

    def _gathered(self) -> list[_Request]:
        """What waits, as far as it fits a batch; waits for the first. Empty at the end."""
        found: list[_Request] = []
        longest = 0
        while len(found) < self._batch:
            one, self._held = self._held or self._next(wait=not found), None
            if one is None:
                break
            longest = max(longest, len(one.wave))
            if found and longest * (len(found) + 1) > self._seconds * self._rate:
                self._held = one
                break
            found.append(one)
        return found

    def _next(self, wait: bool) -> _Request | None:
        """The next of the queue; None where nothing is to be had."""
        try:
            one = self._queue.get(wait and not self._ended)
        except queue.Empty:
            return None
        if one is None:
            self._ended = True
            return self._next(wait)
        return one

    def _answer(self, requests: list[_Request]) -> None:
        audio = Audio.of([one.wave for one in requests], self._rate)
        began = time.perf_counter()
        try:
            with torch.no_grad():
                answers = list(self._work(audio, Draws(secret() for _ in requests)))
            if len(answers) != len(requests):
                raise ValueError(f"{len(answers)} answers for {len(requests)} recordings")
        except Exception as error:
            if len(requests) > 1:  # one of them may be at fault, the others are not
                for one in requests:
                    self._answer([one])
                return
            if not isinstance(error, MelmoatError):
                log.exception("a recording of %d samples failed", len(requests[0].wave))
            requests[0].answer.set_exception(error)
            return
        self._watch(len(requests), float(audio.seconds.sum()), time.perf_counter() - began)
        for one, answer in zip(requests, answers, strict=True):
            one.answer.set_result(answer)

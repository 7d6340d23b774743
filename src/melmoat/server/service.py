"""The service: a loaded defense and the recognizer behind it, each with its batches."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeVar

import torch

from melmoat import defenses, models
from melmoat.audio import RATE, Audio
from melmoat.defenses import FrontEnd, apply
from melmoat.devices import CPU, usable
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer, labels_of, transcribe
from melmoat.models.timing import Word, timeable, words_of
from melmoat.server.batching import Batcher, Pace
from melmoat.server.limits import Limits
from melmoat.server.metrics import Figures

T = TypeVar("T")


class Heard(NamedTuple):
    """A transcript, and the times of its words where the recognizer has them."""

    text: str
    words: Sequence[Word] = ()


class Service:
    """A defense and a recognizer. The constructor loads everything and runs it once on noise.

    Args:
        defense, model, device: as for :func:`melmoat.server.create_app`, which lists the errors.

    Attributes:
        front: the defense, if it is a function of audio; else None.
        device: device that computes.
        rate: rate of its input and output, Hz.
        chooses: whether the recognizer itself detects the language.
        times_words: whether transcripts come with the times of their words.
        defend: passes audio through the defense; None if the defense is not a function of audio.
        transcribe: transcribes with the defended recognizer; None without one.
    """

    def __init__(
        self,
        defense: str,
        model: str | None,
        limits: Limits,
        figures: Figures,
        device: str = CPU,
    ) -> None:
        made = defenses.build(defense)
        front = defenses.function_of_audio(made)
        if not (front or model):
            raise MelmoatError(
                f"{defense} is not a function of audio: serve it with a --model behind it, or "
                "serve one that is, such as wgn:snr=15 (one draw of the noise of rs:snr=15)"
            )
        recognizer = models.load(model) if model else None
        self.chooses = bool(getattr(recognizer, "languages", ()))
        system = made.wrap(recognizer) if recognizer else None
        self.times_words = system is not None and timeable(system) is not None
        self.rate = system.rate if system else RATE
        self.front, self.device = front, usable(device)
        self._limits, self._figures = limits, figures
        self._turn = threading.Lock()  # at the same time, each kind of work would be half as fast
        self._batchers: list[Batcher[Any]] = []
        self.defend = self._batcher("defend", partial(_defend, front), 1) if front else None
        self.transcribe = (
            self._batcher("transcribe", partial(_hear, system), limits.batch) if system else None
        )

    def _batcher(
        self, name: str, work: Callable[[Audio, Draws], Sequence[T]], batch: int
    ) -> Batcher[T]:
        def alone(audio: Audio, draws: Draws) -> Sequence[T]:
            with self._turn:
                return work(audio.to(self.device), draws)

        noise = 0.1 * torch.randn(self.rate, generator=torch.Generator().manual_seed(0))
        pace = Pace()
        with torch.no_grad():  # the first pass costs more than the others, and may fail
            alone(Audio.of([noise], self.rate), Draws([0]))
            began = time.perf_counter()
            alone(Audio.of([noise], self.rate), Draws([0]))
            pace.note(1.0, time.perf_counter() - began)
        watch = partial(self._figures.batch, name)
        made = Batcher(alone, self.rate, batch, self._limits.seconds, watch, pace)
        self._figures.waits(name, lambda: made.waiting)
        self._batchers.append(made)
        return made

    def streamed(self, audio: float, spent: float) -> None:
        """Count a piece of a live stream: its seconds of audio and of work."""
        self._figures.batch("stream", 1, audio, spent)

    def wait(self, seconds: float) -> float:
        """Predicted seconds of work before a new recording of so many seconds."""
        return sum(batcher.ahead(seconds) for batcher in self._batchers)

    @property
    def age(self) -> float:
        """Seconds for which the oldest recording has waited."""
        return max(batcher.age for batcher in self._batchers)

    @property
    def alive(self) -> bool:
        """Whether everything that computes runs."""
        return all(batcher.alive for batcher in self._batchers)

    def start(self) -> None:
        """Begin to answer."""
        for batcher in self._batchers:
            batcher.start()

    def close(self) -> None:
        """Answer waiting requests, then stop."""
        for batcher in self._batchers:
            batcher.close()


def _defend(front: FrontEnd, audio: Audio, draws: Draws) -> list[Audio]:
    return [apply(front, audio, draws).to(CPU)]  # before the next request's turn


def _hear(system: Recognizer, audio: Audio, draws: Draws) -> list[Heard]:
    timed = timeable(system)
    if timed is None:
        return [Heard(text) for text in transcribe(system, audio, draws)]
    log_probs, frames = timed.log_probs(audio, draws)
    words = words_of(log_probs, frames, labels_of(system) or "", audio.seconds.tolist())
    return [Heard(*one) for one in zip(timed.decode(log_probs, frames), words, strict=True)]

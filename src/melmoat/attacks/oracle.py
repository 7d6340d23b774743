"""The loss of an attack's goal, its gradient and, if asked, whether the goal is reached.

Every gradient attack asks a :class:`LossOracle`. It evaluates only those utterances that are
still attacked, so a finished one costs nothing more, and it keeps the figures that a report wants.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.base import AttackError, Goal
from melmoat.attacks.endless import Endless, NeverEnding
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer, kind_of, require_ctc, transcribes_for_free
from melmoat.models.wrappers import EOT

NEVER = -1


@dataclass(frozen=True)
class Crafted(Audio):
    """What an attack made, and what that took.

    Attributes:
        first: gradient steps (or rounds, without gradients) until the attack first saw its goal
            reached, :data:`NEVER` if it did not. Shape: ``[B]``; None if it never asked. What
            the last step made is heard by the judge alone.
        queries: passes of the recognizer over each utterance, every draw of a stochastic one
            counted. Shape: ``[B]``; None if it was not counted.
    """

    first: Tensor | None = None
    queries: Tensor | None = None


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation gave: zero, and not reached, for utterances that were left out.

    Attributes:
        loss: the goal's loss. Shape: ``[B]``.
        gradient: of each utterance's loss, zero in the padding. Shape: ``[B, T]``.
        reached: whether the goal was reached in every draw; False for an oracle that does not
            listen. Shape: ``[B]``, bool.
    """

    loss: Tensor
    gradient: Tensor
    reached: Tensor


class LossOracle:
    """Evaluates a goal on perturbed audio.

    Args:
        model: what is attacked.
        clean: the audio that perturbations are added to.
        goal: what is wanted.
        eot: draws whose mean loss is evaluated.
        chunk: draws evaluated at once (:class:`EOT`).
        listen: whether to tell if the goal is reached; for a CTC recognizer this is free, any
            other transcribes once more. Where it is free, the first success is noted anyhow.
        confirm: further draws that must all reach the goal before it counts. One draw of a
            stochastic system reaches it by chance now and then, and an attack that believes it
            stops, or shrinks, too early.
        worst: whether to keep, of all points that were evaluated, the one whose transcripts do most
            of what the goal wants (:meth:`melmoat.attacks.base.Goal.scores`, the mean over the
            draws; then the one of least loss). Only where transcripts are free.
    """

    def __init__(
        self,
        model: Recognizer,
        clean: Audio,
        goal: Goal,
        eot: int = 1,
        chunk: int | None = None,
        listen: bool = False,
        confirm: int = 0,
        worst: bool = False,
    ) -> None:
        self.model, self.clean, self.goal, self.eot, self.mask = model, clean, goal, eot, clean.mask
        model = NeverEnding(model) if isinstance(goal, Endless) else model
        self._listen, self._confirm = listen, confirm if listen else 0
        self._worst = _Worst(clean) if worst and transcribes_for_free(model) else None
        self._listener = _Listener(model) if listen or transcribes_for_free(model) else None
        inner: Recognizer = self._listener or model
        self._model = EOT(inner, eot, chunk) if eot > 1 else inner
        self._steps = 0  # gradients so far; losses that compare restarts are none
        self._queries = torch.zeros(len(clean), dtype=torch.long)
        self._first = torch.full((len(clean),), NEVER)

    def __call__(
        self, delta: Tensor, draws: Draws, active: Tensor | None = None, gradient: bool = True
    ) -> Evaluation:
        """Evaluate ``clean + delta``.

        Args:
            delta: perturbation. Shape: ``[B, T]``.
            draws: randomness of the recognizer, one stream an utterance of the whole batch.
            active: the utterances to evaluate; all if None. Shape: ``[B]``, bool.
            gradient: whether the gradient is wanted.

        Raises:
            AttackError: a gradient that is NaN or infinite.
        """
        clean = self.clean
        rows = list(range(len(clean))) if active is None else active.nonzero().flatten().tolist()
        result = Evaluation(
            torch.zeros_like(clean.wav[:, 0]),
            torch.zeros_like(clean.wav),
            torch.zeros(len(clean), dtype=torch.bool, device=clean.wav.device),
        )
        if rows:
            audio = Audio(clean.wav + delta, clean.lengths, clean.rate).pick(rows)
            self._evaluate(audio, rows, draws.pick(rows), result, gradient)
        self._steps += gradient
        return result

    def _evaluate(
        self, audio: Audio, rows: list[int], draws: Draws, result: Evaluation, gradient: bool
    ) -> None:
        goal = self.goal.pick(rows)
        if self._listener:
            unheard = bool((self._first[rows] == NEVER).any())
            self._listener.open = self._listen or self._worst is not None or unheard
        x = audio.wav.detach().requires_grad_(gradient)
        with torch.set_grad_enabled(gradient):
            loss = goal.loss(self._model, Audio(x, audio.lengths, audio.rate), draws)
        if loss.shape != (len(rows),):
            raise AttackError(
                f"the recognizer's loss has shape {list(loss.shape)} for {len(rows)} utterance(s); "
                f"expected one of each, [{len(rows)}]"
            )
        if gradient and not loss.requires_grad:
            raise AttackError(
                "no gradient reaches the waveform: something between it and the loss is computed "
                "under no_grad or outside PyTorch (docs/recognizers.md)"
            )
        result.loss[rows] = loss.detach()
        if gradient:
            (slope,) = torch.autograd.grad(loss.sum(), x)
            _check(slope, rows)
            result.gradient[rows, : x.shape[1]] = slope * audio.mask
        self._queries[rows] += self.eot
        if self._listener and self._listener.open:
            self._queries[rows] += self.eot * (self._listener.ctc is None)
            texts = self._listener.drain()
            size = len(rows)
            draws_of = [texts[i : i + size] for i in range(0, len(texts), size)]
            scores = torch.empty(0)
            if self._worst:
                scores = torch.tensor([goal.scores(one) for one in draws_of]).mean(0)
                self._worst.add(rows, audio.wav, scores, result.loss[rows])
            heard = [goal.reached(one) for one in draws_of]
            every = [all(of_draws) for of_draws in zip(*heard, strict=True)]
            won = [row for row, reached in zip(rows, every, strict=True) if reached]
            won = self._confirmed(won, rows, audio, draws)
            if self._worst and self._confirm:
                self._worst.confirm([rows.index(row) for row in won], rows, audio.wav, scores)
            result.reached[won] = self._listen
            fresh = [row for row in won if self._first[row] == NEVER]
            self._first[fresh] = self._steps

    def _confirmed(self, won: list[int], rows: list[int], audio: Audio, draws: Draws) -> list[int]:
        """Those of ``won`` that reach the goal in all further draws. ``rows`` are in ``audio``."""
        for number in range(self._confirm):
            if not won:
                break
            places = [rows.index(row) for row in won]
            streams = draws.pick(places).fork(f"confirm {number}")
            assert self._listener is not None
            with torch.no_grad():
                texts = self._listener.transcribe(audio.pick(places), streams)
            self._queries[won] += 1
            reached = self.goal.pick(won).reached(texts)
            won = [row for row, again in zip(won, reached, strict=True) if again]
        return won

    def crafted(self, delta: Tensor) -> Crafted:
        """``clean + delta``, or the point that was kept, with this oracle's figures."""
        clean = self.clean
        first = self._first if self._listener else None
        wav = (clean.wav + delta if self._worst is None else self._worst.wav) * self.mask
        return Crafted(wav, clean.lengths, clean.rate, first, self._queries)


class _Worst:
    """The point of each utterance that did most of what the goal wants, so far."""

    def __init__(self, clean: Audio) -> None:
        self.wav = clean.wav.clone()
        self._lowest = [(math.inf, math.inf)] * len(clean)

    def add(self, rows: list[int], wav: Tensor, scores: Tensor, losses: Tensor) -> None:
        """Points of the utterances ``rows``, with their scores and losses."""
        pairs = zip(scores.tolist(), losses.tolist(), strict=True)
        for place, (row, found) in enumerate(zip(rows, pairs, strict=True)):
            if found < self._lowest[row]:
                self._lowest[row] = found
                self.wav[row, : wav.shape[1]] = wav[place].detach()

    def confirm(self, places: list[int], rows: list[int], wav: Tensor, scores: Tensor) -> None:
        """Prefer points in these places of ``rows``, which further draws confirmed, to equal ones
        that none did: a lucky draw has a small loss, too."""
        for place in places:
            row, score = rows[place], float(scores[place])
            if score <= self._lowest[row][0]:
                self._lowest[row] = score, -math.inf
                self.wav[row, : wav.shape[1]] = wav[place].detach()


class _Listener:
    """The same recognizer; transcripts of what each loss was taken of are kept while ``open``."""

    def __init__(self, model: Recognizer) -> None:
        self.model, self.rate = model, model.rate
        self.open = True
        self.ctc = require_ctc(model) if kind_of(model) == "ctc" else None
        self._texts: list[str] = []

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return self.model.transcribe(audio, draws)

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        if not self.open:
            return self.model.loss(audio, texts, draws)
        if self.ctc is None:
            self._texts += self.model.transcribe(audio, draws.fork("listen"))
            return self.model.loss(audio, texts, draws)
        log_probs, frames = self.ctc.log_probs(audio, draws)
        self._texts += self.ctc.decode(log_probs.detach(), frames)
        return self.ctc.loss_of(log_probs, frames, texts)

    def drain(self) -> list[str]:
        """The transcripts since the last call, draw after draw."""
        texts, self._texts = self._texts, []
        return texts


def _check(gradient: Tensor, rows: list[int]) -> None:
    """A gradient that is not finite must not pass for one that is zero."""
    broken = (~torch.isfinite(gradient)).any(1).nonzero().flatten().tolist()
    if broken:
        raise AttackError(
            f"the gradient of utterance(s) {[rows[i] for i in broken]} of the batch is NaN or Inf: "
            "an attack on it would find nothing and the system would look robust; mend the model "
            "or the defense"
        )

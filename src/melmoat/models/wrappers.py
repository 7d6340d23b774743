"""Recognizers made from recognizers.

An adaptive attack is only which of these objects the attack is handed: the defended recognizer
itself (its exact gradient through the drawn noise), or :class:`EOT` around it (EOT).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import (
    FromFrames,
    Inventory,
    Kind,
    Recognizer,
    kind_of,
    labels_of,
    require_ctc,
)
from melmoat.models.guards import Guards
from melmoat.models.rover import vote
from melmoat.models.seq2seq import (
    AveragedEncoded,
    Encoded,
    Seq2Seq,
    Vocabulary,
    require_tokens,
)
from melmoat.text import listed

Filter = Callable[[Audio, Draws], Audio]  # same lengths, same rate; a defense's front-end is one


class Wrapper:
    """A recognizer around another, and of the same :func:`kind <melmoat.models.base.kind_of>`.

    Subclasses write :meth:`transformed`, and what they do otherwise. ``rounding`` is what rounds
    the samples before anything else (:class:`melmoat.defenses.Rounding`), if something does.
    """

    def __init__(self, model: Recognizer) -> None:
        self.model, self.rate = model, model.rate
        self.kind: Kind = kind_of(model)
        self.labels = labels_of(model)
        self.normaliser = getattr(model, "normaliser", None)
        self.inventory: Inventory | None = getattr(model, "inventory", None)
        same = type(self).transformed is Wrapper.transformed
        self.rounding: object | None = getattr(model, "rounding", None) if same else None

    def transformed(self, audio: Audio, draws: Draws) -> tuple[Audio, Draws]:
        """What the inner recognizer is given in the place of these."""
        return audio, draws

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """One transcript an utterance."""
        with torch.no_grad():
            return self.model.transcribe(*self.transformed(audio, draws))

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """The inner recognizer's loss. Shape: ``[B]``."""
        changed, rest = self.transformed(audio, draws)
        return self.model.loss(changed, texts, rest)

    # Of a CTC recognizer.

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """The inner recognizer's log probabilities ``[B, F, V]`` and frames ``[B]``."""
        return require_ctc(self.model).log_probs(*self.transformed(audio, draws))

    def targets(self, texts: Sequence[str]) -> list[Tensor]:
        """The inner recognizer's symbols of each text."""
        return require_ctc(self.model).targets(texts)

    def decode(self, log_probs: Tensor, frames: Tensor) -> list[str]:
        """The inner recognizer's transcripts of such probabilities."""
        return require_ctc(self.model).decode(log_probs, frames)

    def loss_of(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """The inner recognizer's loss, given such probabilities. Shape: ``[B]``."""
        return require_ctc(self.model).loss_of(log_probs, frames, texts)

    @property
    def greedy(self) -> bool:
        """Whether the inner recognizer's :meth:`decode` takes the best path."""
        return kind_of(self.model) == "ctc" and require_ctc(self.model).greedy

    # Of a token recognizer.

    @property
    def vocabulary(self) -> Vocabulary:
        """The inner recognizer's."""
        return require_tokens(self.model).vocabulary

    @property
    def beam(self) -> int:
        """The inner recognizer's."""
        return require_tokens(self.model).beam

    @property
    def guards(self) -> Guards | None:
        """The inner recognizer's."""
        return require_tokens(self.model).guards

    def encode(self, audio: Audio, draws: Draws) -> Encoded:
        """The inner recognizer's encoding of the batch."""
        return require_tokens(self.model).encode(*self.transformed(audio, draws))

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in the parts that the inner recognizer encodes at once."""
        return require_tokens(self.model).cut(audio)


def checked_output(front_end: Filter, audio: Audio, output: Audio) -> Audio:
    """``output``, what ``front_end`` made of ``audio``.

    Raises:
        MelmoatError: an utterance's length, the rate or the device is another.
    """
    if output.wav.device != audio.wav.device:
        raise MelmoatError(
            f"{type(front_end).__name__} was given audio on {audio.wav.device} and gave some on "
            f"{output.wav.device} (docs/defenses.md)"
        )
    if output.rate != audio.rate or not torch.equal(output.lengths, audio.lengths):
        raise MelmoatError(
            f"{type(front_end).__name__} changed an utterance's length or the rate; a front-end "
            "keeps both (docs/defenses.md)"
        )
    return output


class Defended(Wrapper):
    """A recognizer that hears everything through a front-end.

    One graph runs from the loss through the front-end, and through the very noise it drew, to the
    waveform: the gradient is exact.
    """

    def __init__(self, model: Recognizer, front_end: Filter) -> None:
        super().__init__(model)
        self.front_end = front_end
        self.rounding = getattr(front_end, "rounding", None)

    def transformed(self, audio: Audio, draws: Draws) -> tuple[Audio, Draws]:
        """The defended audio, and other draws for the recognizer."""
        defended = self.front_end(audio, draws.fork("front-end"))
        return checked_output(self.front_end, audio, defended), draws.fork("model")


def _repeat(audio: Audio, draws: Draws, numbers: Sequence[int]) -> tuple[Audio, Draws]:
    """A copy of the batch for each number, with the streams that the number names."""
    return audio.repeat(len(numbers)), Draws.cat(draws.fork(i) for i in numbers)


class Smoothed(FromFrames, Wrapper):
    """Mean frame-wise probabilities of ``votes`` passes of a stochastic recognizer.

    Randomized smoothing as the paper runs it is this around a recognizer defended by white noise.
    The votes run as one batch. The loss is that of the mean, so its gradient is exact too.
    """

    def __init__(self, model: Recognizer, votes: int) -> None:
        if votes < 1:
            raise ValueError(f"votes must be at least 1, got {votes}")
        super().__init__(require_ctc(model))
        self.votes = votes

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        """Log of the mean over votes ``[B, F, V]`` and frames ``[B]``."""
        logs, frames = require_ctc(self.model).log_probs(*_repeat(audio, draws, range(self.votes)))
        logs = logs.view(self.votes, len(audio), *logs.shape[1:])
        return torch.logsumexp(logs, dim=0) - math.log(self.votes), frames[: len(audio)]


class SmoothedTokens(Seq2Seq):
    """As :class:`Smoothed` for a token recognizer: mean probabilities of the next token.

    All votes read the same tokens, greedily or by beam those of their mean; the loss is that of
    the mean at each token. Long audio is cut first, so its noise follows the level of each part.
    """

    def __init__(self, model: Recognizer, votes: int) -> None:
        if votes < 1:
            raise ValueError(f"votes must be at least 1, got {votes}")
        self.model, self.votes = require_tokens(model), votes
        self.rate, self.vocabulary = model.rate, self.model.vocabulary
        self.beam, self.guards = self.model.beam, self.model.guards
        self.normaliser = getattr(model, "normaliser", None)
        self.rounding: object | None = getattr(model, "rounding", None)

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in the parts that the inner recognizer encodes at once."""
        return self.model.cut(audio)

    def encode(self, audio: Audio, draws: Draws) -> AveragedEncoded:
        """All votes on the batch, with nothing read yet."""
        encoded = self.model.encode(*_repeat(audio, draws, range(self.votes)))
        return AveragedEncoded(encoded, self.votes, len(audio))


def smoothed(model: Recognizer, votes: int) -> Recognizer:
    """Mean probabilities of ``votes`` passes: of characters, or of tokens.

    Raises:
        MelmoatError: the recognizer shows neither.
    """
    return Smoothed(model, votes) if kind_of(model) == "ctc" else SmoothedTokens(model, votes)


class EOT(Wrapper):
    """Expectation over transformation (Athalye et al. 2018): the mean *loss* over fresh draws.

    Losses and not logits are averaged, because the logits of different draws need not align.
    Transcripts are the inner recognizer's.

    Args:
        model: the stochastic recognizer.
        draws: how many draws.
        chunk: how many of them are evaluated at once, which bounds the memory; all if None. The
            loss and its gradient with respect to the audio are the same. In chunks no gradient
            reaches the recognizer's own parameters.
    """

    def __init__(self, model: Recognizer, draws: int, chunk: int | None = None) -> None:
        if draws < 1 or (chunk is not None and chunk < 1):
            raise ValueError(f"draws and chunk must be at least 1, got {draws} and {chunk}")
        super().__init__(model)
        self.kind = "text"  # several draws have several probabilities
        self.draws = draws
        self.chunk = min(chunk or draws, draws)

    @property
    def passes(self) -> int:
        """Inner losses that one loss takes."""
        return -(-self.draws // self.chunk)

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """Mean of the inner loss over draws. Shape: ``[B]``."""
        if self.passes == 1:
            return self._sum(audio, texts, draws, range(self.draws)) / self.draws
        outer, total = audio.wav, torch.zeros_like(audio.wav[:, 0])
        wanted = torch.is_grad_enabled() and outer.requires_grad
        inner = replace(audio, wav=outer.detach().requires_grad_(wanted))
        gradient = torch.zeros_like(inner.wav)
        for start in range(0, self.draws, self.chunk):
            numbers = range(start, min(start + self.chunk, self.draws))
            part = self._sum(inner, texts, draws, numbers) / self.draws
            if wanted:  # and the chunk's graph is freed
                gradient += torch.autograd.grad(part.sum(), inner.wav)[0]
            total += part.detach()
        if not wanted:
            return total
        # Utterance i's loss depends on its own audio alone, so this has the value and gradient.
        return total + ((outer - outer.detach()) * gradient).sum(1)

    def _sum(
        self, audio: Audio, texts: Sequence[str], draws: Draws, numbers: Sequence[int]
    ) -> Tensor:
        many, streams = _repeat(audio, draws, numbers)
        losses = self.model.loss(many, list(listed(texts)) * len(numbers), streams)
        return losses.view(len(numbers), len(audio)).sum(0)


class Voted(EOT):
    """ROVER over the transcripts of ``votes`` passes of a stochastic recognizer of any kind.

    A vote over words has no gradient; the loss is the mean loss over the passes. Passes of the vote
    run as one batch.
    """

    def __init__(self, model: Recognizer, votes: int) -> None:
        if votes < 1:
            raise ValueError(f"votes must be at least 1, got {votes}")
        super().__init__(model, votes)

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """The words that most passes agree on, one transcript an utterance."""
        transcripts = self.model.transcribe(*_repeat(audio, draws, range(self.draws)))
        return [vote(transcripts[i :: len(audio)]) for i in range(len(audio))]


class Monitored(Wrapper):
    """The same recognizer; ``tick`` is called at each pass, for progress bars."""

    def __init__(self, model: Recognizer, tick: Callable[[], None]) -> None:
        super().__init__(model)
        self.tick, self.rounding = tick, getattr(model, "rounding", None)

    def transformed(self, audio: Audio, draws: Draws) -> tuple[Audio, Draws]:
        """These, after a tick."""
        self.tick()
        return audio, draws

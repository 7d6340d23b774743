"""What every recognizer that writes token after token shares: loss, greedy and beam search.

Such a recognizer *hears* audio once and then reads tokens one after another, each prediction given
all before it. Frames do not exist, so smoothing averages the probabilities of the next token over
votes that all read the same tokens: :class:`Averaged`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer
from melmoat.text import TextError


@dataclass(frozen=True)
class Vocabulary:
    """How a recognizer writes text as tokens.

    Args:
        encode: a text's tokens, without any that begin or end it.
        decode: the text of tokens.
        end: the token that ends a text.
        longest: most tokens that decoding writes.
        room: most tokens that a loss can read, the end included.
        never, not_first: tokens that decoding may not choose, ever or at first; a loss may.
    """

    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    end: int
    longest: int
    room: int
    never: tuple[int, ...] = ()
    not_first: tuple[int, ...] = ()


class Heard(Protocol):
    """A batch that was heard, and the tokens read so far."""

    def read(self, tokens: Tensor) -> Tensor:
        """Log probabilities of what follows each of ``tokens``, which follow those read before.

        The first call has one more: what the text begins with comes first.

        Shape: ``[B, N]`` -> ``[B, N, V]``; at first ``[B, N + 1, V]``.
        """
        ...

    def pick(self, rows: Sequence[int]) -> Heard:
        """Some of the utterances, a row perhaps several times, with what each has read."""
        ...


class TokenRecognizer(Recognizer, Protocol):
    """A recognizer that writes token after token."""

    vocabulary: Vocabulary
    beam: int

    def hear(self, audio: Audio, draws: Draws) -> Heard:
        """The batch, with nothing read yet."""
        ...

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts that can be heard at once."""
        ...


def require_tokens(model: Recognizer) -> TokenRecognizer:
    """``model`` itself if it writes token after token.

    Raises:
        MelmoatError: it does not.
    """
    if not hasattr(model, "vocabulary"):
        raise MelmoatError(
            f"{type(model).__name__} has neither frame-wise nor token probabilities, which "
            "averaging needs; rs:vote=rover takes any recognizer"
        )
    return cast(TokenRecognizer, model)


class Seq2Seq:
    """Loss and decoding from :meth:`hear`; the base of every token recognizer here."""

    rate: int
    vocabulary: Vocabulary
    beam: int = 0

    def hear(self, audio: Audio, draws: Draws) -> Heard:
        """The batch, with nothing read yet."""
        raise NotImplementedError

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts that can be heard at once."""
        return [[wave] for wave in audio]

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """One transcript an utterance. Long ones are heard in parts and their texts joined."""
        parts = self.cut(audio)
        waves = [wave for several in parts for wave in several]
        owners = [i for i, several in enumerate(parts) for _ in several]
        if len(waves) > len(parts):
            streams = (
                draws.pick([i]).fork(f"part {n}") if len(several) > 1 else draws.pick([i])
                for i, several in enumerate(parts)
                for n in range(len(several))
            )
            draws = Draws.cat(streams)
            audio = Audio.of(waves, audio.rate)
        v, device = self.vocabulary, audio.wav.device
        with torch.no_grad():
            heard = self.hear(audio, draws)
            if self.beam:
                written = [_beam(heard.pick([i]), v, self.beam, device) for i in range(len(waves))]
            else:
                written = _greedy(heard, len(waves), v, device)
        texts: list[list[str]] = [[] for _ in parts]
        for owner, tokens in zip(owners, written, strict=True):
            texts[owner].append(v.decode(tokens).strip())
        return [" ".join(text for text in several if text) for several in texts]

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """Negative log probability of each text and of its end, in nats. Shape: ``[B]``.

        Raises:
            TextError: a text of too many tokens.
        """
        if len(texts) != len(audio):
            raise ValueError(f"{len(texts)} texts for a batch of {len(audio)}")
        targets = [self._target(text) for text in texts]
        device = audio.wav.device
        lengths = torch.tensor([len(target) for target in targets], device=device)
        padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True).to(device)
        logs = self.hear(audio, draws).read(padded[:, :-1])
        chosen = logs.gather(2, padded[..., None])[..., 0]
        inside = torch.arange(padded.shape[1], device=device) < lengths[:, None]
        return -(chosen * inside).sum(1)

    def _target(self, text: str) -> Tensor:
        tokens = [*self.vocabulary.encode(text), self.vocabulary.end]
        if len(tokens) > self.vocabulary.room:
            raise TextError(
                f"{text[:40]!r}... is {len(tokens)} tokens, this recognizer reads at most "
                f"{self.vocabulary.room}; choose a shorter text"
            )
        return torch.tensor(tokens)


def _allowed(logs: Tensor, vocabulary: Vocabulary, first: bool) -> Tensor:
    logs = logs.clone()
    logs[..., list(vocabulary.never)] = -math.inf
    if first:
        logs[..., list(vocabulary.not_first)] = -math.inf
    return logs


def _greedy(heard: Heard, count: int, v: Vocabulary, device: torch.device) -> list[list[int]]:
    """The likeliest token after another. Utterances that have ended are not computed on."""
    written: list[list[int]] = [[] for _ in range(count)]
    active = list(range(count))
    tokens = torch.zeros(count, 0, dtype=torch.long, device=device)
    for n in range(v.longest):
        best = _allowed(heard.read(tokens)[:, -1], v, n == 0).argmax(-1).tolist()
        kept = [row for row, token in enumerate(best) if token != v.end]
        for row in kept:
            written[active[row]].append(best[row])
        if not kept or n + 1 == v.longest:
            break
        if len(kept) < len(active):
            heard, active = heard.pick(kept), [active[row] for row in kept]
        tokens = torch.tensor([[best[row]] for row in kept], device=device)
    return written


def _beam(heard: Heard, v: Vocabulary, width: int, device: torch.device) -> list[int]:
    """Beam search over one utterance; the best text by log probability a token.

    ``width`` texts are kept at each step. It ends when as many have ended; if fewer have by the
    last step, those that go on count too.
    """
    scores = [0.0]
    texts: list[tuple[int, ...]] = [()]
    ended: list[tuple[float, tuple[int, ...]]] = []
    logs = heard.read(torch.zeros(1, 0, dtype=torch.long, device=device))[:, -1]
    for n in range(v.longest):
        total = _allowed(logs, v, n == 0) + torch.tensor(scores, device=device)[:, None]
        best, where = total.flatten().topk(min(2 * width, total.numel()))
        rows: list[int] = []
        longer: list[tuple[int, ...]] = []
        kept: list[float] = []
        for rank, (score, index) in enumerate(zip(best.tolist(), where.tolist(), strict=True)):
            row, token = divmod(index, total.shape[1])
            if token == v.end:
                if rank < width:
                    ended.append((score / (n + 1), texts[row]))
            elif len(rows) < width and score > -math.inf:
                rows.append(row)
                longer.append((*texts[row], token))
                kept.append(score)
        texts, scores = longer, kept
        if len(ended) >= width or not rows or n + 1 == v.longest:
            break
        heard = heard.pick(rows)
        logs = heard.read(torch.tensor([[text[-1]] for text in texts], device=logs.device))[:, -1]
    if len(ended) < width:
        ended += [(score / len(text), text) for score, text in zip(scores, texts, strict=True)]
    return list(max(ended)[1])


@dataclass(frozen=True)
class Averaged:
    """Several votes of the same batch, vote after vote, that read the same tokens.

    Args:
        votes: the batch ``votes`` times over.
        count: how many votes.
        size: utterances of one vote.
    """

    votes: Heard
    count: int
    size: int

    def read(self, tokens: Tensor) -> Tensor:
        """Log of the mean probability over votes, as :meth:`Heard.read`."""
        logs = self.votes.read(tokens.repeat(self.count, 1))
        return torch.logsumexp(logs.view(self.count, -1, *logs.shape[1:]), 0) - math.log(self.count)

    def pick(self, rows: Sequence[int]) -> Averaged:
        """Some of the utterances, with all their votes."""
        chosen = [vote * self.size + row for vote in range(self.count) for row in rows]
        return Averaged(self.votes.pick(chosen), self.count, len(rows))

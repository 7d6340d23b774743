"""What every recognizer that writes token after token shares: loss, greedy and beam search.

Such a recognizer *hears* audio once and then reads tokens one after another, each prediction given
all before it. Frames do not exist, so smoothing averages the probabilities of the next token over
votes that all read the same tokens: :class:`AveragedEncoded`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, cast

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Kind, Recognizer, kind_of
from melmoat.models.guards import Guards
from melmoat.text import TextError, listed

PARTS = 8  # of a long utterance that are encoded at once, to bound memory


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

    def allowed(self, logs: Tensor, first: bool) -> Tensor:
        """Log probabilities ``[..., V]``, minus infinity where decoding may not choose."""
        logs = logs.clone()
        logs[..., list(self.never)] = -math.inf
        if first:
            logs[..., list(self.not_first)] = -math.inf
        return logs


class Encoded(Protocol):
    """A batch that was encoded, and the tokens read so far."""

    def read(self, tokens: Tensor) -> Tensor:
        """Log probabilities of what follows each of ``tokens``, which follow those read before.

        The first call has one more: what the text begins with comes first.

        Shape: ``[B, N]`` -> ``[B, N, V]``; at first ``[B, N + 1, V]``.
        """
        ...

    def pick(self, rows: Sequence[int]) -> Encoded:
        """Some of the utterances, a row perhaps several times, with what each has read."""
        ...

    def opening(self, token: int) -> Tensor:
        """Probability of ``token`` right behind what starts every text; only for guards.

        Shape: ``[B]``.
        """
        ...


class TokenRecognizer(Recognizer, Protocol):
    """A recognizer that writes token after token."""

    vocabulary: Vocabulary
    beam: int
    guards: Guards | None

    def encode(self, audio: Audio, draws: Draws) -> Encoded:
        """The batch, with nothing read yet."""
        ...

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts that can be encoded at once."""
        ...


def require_tokens(model: Recognizer) -> TokenRecognizer:
    """``model`` itself if it writes token after token.

    Raises:
        MelmoatError: it does not.
    """
    if kind_of(model) != "tokens":
        raise MelmoatError(
            f"{type(model).__name__} has neither frame-wise nor token probabilities, which "
            "averaging needs; rs:vote=rover takes any recognizer"
        )
    return cast(TokenRecognizer, model)


class Seq2Seq:
    """Loss and decoding from :meth:`encode`; the base of every token recognizer here."""

    kind: ClassVar[Kind] = "tokens"
    rate: int
    vocabulary: Vocabulary
    beam: int = 0
    guards: Guards | None = None

    def encode(self, audio: Audio, draws: Draws) -> Encoded:
        """The batch, with nothing read yet."""
        raise NotImplementedError

    def cut(self, audio: Audio) -> list[list[Tensor]]:
        """Each utterance in parts that can be encoded at once."""
        return [[wave] for wave in audio]

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        """One transcript an utterance. Long ones are encoded in parts and their texts joined.

        At most as many parts are encoded at once as there are utterances, or :data:`PARTS`.
        """
        parts = self.cut(audio)
        waves = [wave for several in parts for wave in several]
        owners = [i for i, several in enumerate(parts) for _ in several]
        batches = [(audio, draws)]
        if len(waves) > len(parts):
            streams = (
                draws.pick([i]).fork(f"part {n}") if len(several) > 1 else draws.pick([i])
                for i, several in enumerate(parts)
                for n in range(len(several))
            )
            of_parts, size = Draws.cat(streams), max(len(parts), PARTS)
            batches = [
                (
                    Audio.of(waves[n : n + size], audio.rate),
                    of_parts.pick(range(len(waves))[n : n + size]),
                )
                for n in range(0, len(waves), size)
            ]
        v, device = self.vocabulary, audio.wav.device
        written: list[list[int]] = []
        for some, own in batches:
            with torch.no_grad():
                encoded = self.encode(some, own)
                unread = encoded.pick(range(len(some))) if self.guards else encoded
                if self.beam:
                    found = _beam(encoded, len(some), v, self.beam, device)
                else:
                    found = greedy(encoded, len(some), v, device)
                written += self.guards.apply(unread, found, v) if self.guards else found
        texts: list[list[str]] = [[] for _ in parts]
        for owner, tokens in zip(owners, written, strict=True):
            texts[owner].append(v.decode(tokens).strip())
        return [" ".join(text for text in several if text) for several in texts]

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """Negative log probability of each text and of its end, in nats. Shape: ``[B]``.

        Raises:
            TextError: a text of too many tokens.
        """
        logs, wanted, inside = teacher_forced(self, audio, texts, draws)
        chosen = logs.gather(2, wanted[..., None])[..., 0]
        return -(chosen * inside).sum(1)


def teacher_forced(
    model: TokenRecognizer, audio: Audio, texts: Sequence[str], draws: Draws
) -> tuple[Tensor, Tensor, Tensor]:
    """Log probabilities ``[B, N, V]`` of each token of ``texts`` given those before it, the tokens
    with their ends ``[B, N]``, and which of them are no padding ``[B, N]``.

    Raises:
        TextError: a text of too many tokens.
    """
    if len(listed(texts)) != len(audio):
        raise ValueError(f"{len(texts)} texts for a batch of {len(audio)}")
    targets = [_target(text, model.vocabulary) for text in texts]
    device = audio.wav.device
    lengths = torch.tensor([len(target) for target in targets], device=device)
    padded = torch.nn.utils.rnn.pad_sequence(targets, batch_first=True).to(device)
    logs = model.encode(audio, draws).read(padded[:, :-1])
    return logs, padded, torch.arange(padded.shape[1], device=device) < lengths[:, None]


def _target(text: str, vocabulary: Vocabulary) -> Tensor:
    tokens = [*vocabulary.encode(text), vocabulary.end]
    if len(tokens) > vocabulary.room:
        raise TextError(
            f"{text[:40]!r}... is {len(tokens)} tokens, this recognizer reads at most "
            f"{vocabulary.room}; choose a shorter text"
        )
    return torch.tensor(tokens)


def readable(model: Recognizer, text: str) -> str:
    """``text`` without its end, if a token recognizer cannot read it whole.

    A transcript that the decoder broke off can have too many tokens to be read with its end.
    """
    if kind_of(model) != "tokens":
        return text
    vocabulary = require_tokens(model).vocabulary
    tokens, kept = vocabulary.encode(text), vocabulary.room - 1
    while len(vocabulary.encode(text)) >= vocabulary.room:
        text, kept = vocabulary.decode(tokens[:kept]), kept - 1
    return text


def greedy(encoded: Encoded, count: int, v: Vocabulary, device: torch.device) -> list[list[int]]:
    """The likeliest token after another, for ``count`` utterances, without the token that ends a
    text. Utterances that have ended are not computed on."""
    written: list[list[int]] = [[] for _ in range(count)]
    active = list(range(count))
    tokens = torch.zeros(count, 0, dtype=torch.long, device=device)
    for n in range(v.longest):
        best = v.allowed(encoded.read(tokens)[:, -1], n == 0).argmax(-1).tolist()
        kept = [row for row, token in enumerate(best) if token != v.end]
        for row in kept:
            written[active[row]].append(best[row])
        if not kept or n + 1 == v.longest:
            break
        if len(kept) < len(active):
            encoded, active = encoded.pick(kept), [active[row] for row in kept]
        tokens = torch.tensor([[best[row]] for row in kept], device=device)
    return written


class _Search:
    """Beam search over one utterance: what is written so far, and what has ended.

    ``width`` texts are kept at each step. It is over when as many have ended.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self.scores = [0.0]
        self.texts: list[tuple[int, ...]] = [()]
        self.ended: list[tuple[float, tuple[int, ...]]] = []

    def step(self, logs: Tensor, end: int) -> list[int]:
        """Which of the texts go on, in the order of the new ones. Empty when it is over.

        Shape: ``[len(self.texts), V]``.
        """
        total = logs + torch.tensor(self.scores, device=logs.device)[:, None]
        best, where = total.flatten().topk(min(2 * self.width, total.numel()))
        rows: list[int] = []
        longer: list[tuple[int, ...]] = []
        scores: list[float] = []
        for rank, (score, index) in enumerate(zip(best.tolist(), where.tolist(), strict=True)):
            row, token = divmod(index, total.shape[1])
            if token == end:
                if rank < self.width:
                    self.ended.append((score / (len(self.texts[row]) + 1), self.texts[row]))
            elif len(rows) < self.width and score > -math.inf:
                rows.append(row)
                longer.append((*self.texts[row], token))
                scores.append(score)
        self.texts, self.scores = longer, scores
        return rows if len(self.ended) < self.width else []

    def best(self) -> list[int]:
        """The best text by log probability a token; if too few have ended, of all."""
        found = list(self.ended)
        if len(found) < self.width:
            pairs = zip(self.scores, self.texts, strict=True)
            found += [(score / len(text), text) for score, text in pairs]
        return list(max(found)[1])


def _beam(
    encoded: Encoded, count: int, v: Vocabulary, width: int, device: torch.device
) -> list[list[int]]:
    """Beam search over each utterance. Those that have ended are not computed on."""
    searches = [_Search(width) for _ in range(count)]
    active = searches
    tokens = torch.zeros(count, 0, dtype=torch.long, device=device)
    for n in range(v.longest):
        logs = v.allowed(encoded.read(tokens)[:, -1], n == 0)
        rows: list[int] = []
        going: list[_Search] = []
        first = 0
        for search, several in zip(
            active, torch.split(logs, [len(search.texts) for search in active]), strict=True
        ):
            if kept := search.step(several, v.end):
                rows += [first + row for row in kept]
                going.append(search)
            first += len(several)
        if not rows or n + 1 == v.longest:
            break
        encoded, active = encoded.pick(rows), going
        tokens = torch.tensor([[text[-1]] for search in active for text in search.texts])
        tokens = tokens.to(device)
    return [search.best() for search in searches]


@dataclass(frozen=True)
class AveragedEncoded:
    """Several votes of the same batch, vote after vote, that read the same tokens.

    Args:
        votes: the batch ``votes`` times over.
        count: how many votes.
        size: utterances of one vote.
    """

    votes: Encoded
    count: int
    size: int

    def read(self, tokens: Tensor) -> Tensor:
        """Log of the mean probability over votes, as :meth:`Heard.read`."""
        logs = self.votes.read(tokens.repeat(self.count, 1))
        return torch.logsumexp(logs.view(self.count, -1, *logs.shape[1:]), 0) - math.log(self.count)

    def pick(self, rows: Sequence[int]) -> AveragedEncoded:
        """Some of the utterances, with all their votes."""
        chosen = [vote * self.size + row for vote in range(self.count) for row in rows]
        return AveragedEncoded(self.votes.pick(chosen), self.count, len(rows))

    def opening(self, token: int) -> Tensor:
        """Mean probability over votes, as :meth:`Heard.opening`."""
        return self.votes.opening(token).view(self.count, -1).mean(0)

"""Transcripts that do not end: a recognizer of tokens is kept busy until its decoder stops it.

One such recording costs a server as much as many others. The loss is the negative log probability
that the text ends at none of its tokens:

    ``- sum over t of log(1 - p_end(t))``

where the text is what the recognizer now writes, found anew at each step. In the manner of Haque et
al. 2023 (SlothSpeech).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer, kind_of
from melmoat.models.seq2seq import Vocabulary, greedy, require_tokens
from melmoat.models.wrappers import Wrapper

ENDLESS = "endless"
SHARE = 0.9  # of the decoder's most tokens, from which on a text counts as one without end


@dataclass(frozen=True)
class Endless:
    """As many tokens as the decoder allows.

    Args:
        count: utterances.
        vocabulary: of the recognizer, which :func:`for_recognizer` fills in.
    """

    count: int
    vocabulary: Vocabulary | None = None

    def loss(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The loss of a :class:`NeverEnding` recognizer, which needs no text. Shape: ``[B]``."""
        return model.loss(audio, [""] * len(audio), draws)

    def reached(self, hypotheses: Sequence[str]) -> list[bool]:
        """Whether each transcript has :data:`SHARE` of the tokens that the decoder allows."""
        least = SHARE * self._vocabulary.longest
        return [size >= least for size in self._sizes(hypotheses)]

    def distances(self, hypotheses: Sequence[str]) -> list[int]:
        """How many tokens are lacking."""
        longest = self._vocabulary.longest
        return [max(0, longest - size) for size in self._sizes(hypotheses)]

    def scores(self, hypotheses: Sequence[str]) -> list[float]:
        """The number of lacking tokens."""
        return [float(distance) for distance in self.distances(hypotheses)]

    def enough(self) -> list[float]:
        """The scores with none lacking."""
        return [0.0] * self.count

    def pick(self, rows: Sequence[int]) -> Endless:
        """The same for some of the utterances."""
        return Endless(len(rows), self.vocabulary)

    @property
    def _vocabulary(self) -> Vocabulary:
        if self.vocabulary is None:
            raise MelmoatError(f"target={ENDLESS} was not told the recognizer: use for_recognizer")
        return self.vocabulary

    def _sizes(self, hypotheses: Sequence[str]) -> list[int]:
        return [len(self._vocabulary.encode(text)) for text in hypotheses]


def for_recognizer(goal: Endless, model: Recognizer) -> Endless:
    """``goal`` with the vocabulary of ``model``.

    Raises:
        MelmoatError: the recognizer does not write token after token.
    """
    if kind_of(model) != "tokens":
        raise MelmoatError(
            f"target={ENDLESS} is for recognizers that write token after token, such as Whisper; "
            f"the text of {type(model).__name__} is as long as its audio allows"
        )
    return Endless(goal.count, require_tokens(model).vocabulary)


class NeverEnding(Wrapper):
    """The same recognizer; its loss is how likely the text that it writes ends."""

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """``- sum log(1 - p_end)`` over the tokens of the greedy transcript, in nats; ``texts`` is
        not used. Shape: ``[B]``."""
        model = require_tokens(self.model)
        v, device = model.vocabulary, audio.wav.device
        encoded = model.encode(audio, draws)
        with torch.no_grad():
            written = greedy(encoded.pick(range(len(audio))), len(audio), v, device)
        # A text that the decoder broke off has no end; the others were asked for one.
        lengths = torch.tensor([min(len(text) + 1, v.longest) for text in written], device=device)
        rows = [torch.tensor(text, dtype=torch.long, device=device) for text in written]
        tokens = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)[:, : v.longest - 1]
        logs = encoded.read(tokens)
        first = torch.arange(logs.shape[1], device=device) == 0
        allowed = torch.where(
            first[:, None], v.allowed(logs, True), v.allowed(logs, False)
        ).log_softmax(-1)
        goes_on = allowed.index_fill(-1, torch.tensor(v.end, device=device), -math.inf).logsumexp(
            -1
        )
        inside = torch.arange(logs.shape[1], device=device) < lengths[:, None]
        return -torch.where(inside, goes_on, 0.0).sum(1)

"""Beam search over tokens, on probabilities made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.seq2seq import Seq2Seq, Vocabulary

END = 2


class Chain:
    """What follows depends on the last token alone; before the first it is the last row."""

    def __init__(self, follows: Tensor) -> None:
        self.follows = follows

    def read(self, tokens: Tensor) -> Tensor:
        last = tokens if tokens.shape[1] else torch.full((len(tokens), 1), -1)
        return self.follows[last].log()

    def pick(self, rows: Sequence[int]) -> Chain:
        return self


class Writer(Seq2Seq):
    """Writes A, B and the end as a chain says."""

    def __init__(self, follows: list[list[float]], beam: int, longest: int = 9) -> None:
        self.chain, self.beam = Chain(torch.tensor(follows)), beam
        self.vocabulary = Vocabulary(
            lambda text: [], lambda tokens: "".join("AB"[t] for t in tokens), END, longest, longest
        )

    def hear(self, audio: Audio, draws: Draws) -> Chain:
        return self.chain

    def __call__(self) -> str:
        return self.transcribe(Audio.of([torch.zeros(9)]), Draws([0]))[0]


def test_a_beam_takes_a_text_that_ended() -> None:
    # The empty text and A have ended when AA, likelier a token, goes on.
    follows = [[0.6, 0.0, 0.4], [0.5, 0.0, 0.5], [0.5, 0.1, 0.4]]
    assert Writer(follows, beam=2)() == "A"


def test_a_beam_that_never_ends_takes_what_it_has() -> None:
    follows = [[0.3, 0.7, 0.0], [0.6, 0.4, 0.0], [0.9, 0.1, 0.0]]
    assert Writer(follows, beam=2, longest=3)() == "ABA"

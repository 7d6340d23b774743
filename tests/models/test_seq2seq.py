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
    """What follows depends on the last token alone; before the first it is the last row.

    Shape: ``[B, 3, 3]``, of each utterance.
    """

    def __init__(self, follows: Tensor) -> None:
        self.follows = follows

    def read(self, tokens: Tensor) -> Tensor:
        last = tokens if tokens.shape[1] else torch.full((len(tokens), 1), -1)
        return self.follows[torch.arange(len(tokens))[:, None], last].log()

    def pick(self, rows: Sequence[int]) -> Chain:
        return Chain(self.follows[list(rows)])


class Writer(Seq2Seq):
    """Writes A, B and the end as a chain for each utterance says."""

    def __init__(self, *follows: list[list[float]], beam: int, longest: int = 9) -> None:
        self.chain, self.beam = Chain(torch.tensor(follows)), beam
        self.vocabulary = Vocabulary(
            lambda text: [], lambda tokens: "".join("AB"[t] for t in tokens), END, longest, longest
        )

    def encode(self, audio: Audio, draws: Draws) -> Chain:
        return self.chain

    def __call__(self) -> list[str]:
        count = len(self.chain.follows)
        return self.transcribe(Audio.of([torch.zeros(9)] * count), Draws(range(count)))


# The empty text and A have ended when AA, likelier a token, goes on.
ENDS = [[0.6, 0.0, 0.4], [0.5, 0.0, 0.5], [0.5, 0.1, 0.4]]
NEVER_ENDS = [[0.3, 0.7, 0.0], [0.6, 0.4, 0.0], [0.9, 0.1, 0.0]]
ONE_WAY = [[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]  # one text, whatever the width


def test_a_long_utterance_is_heard_a_few_parts_at_once() -> None:
    """As many as there are utterances, or a few; the texts and draws are those of all at once."""
    sizes: list[int] = []
    streams: list[int] = []

    class Long(Writer):
        def cut(self, audio: Audio) -> list[list[torch.Tensor]]:
            return [list(wave.split(3)) for wave in audio]

        def encode(self, audio: Audio, draws: Draws) -> Chain:
            sizes.append(len(audio))
            streams.extend(draws.seeds)
            return Chain(torch.tensor([ONE_WAY] * len(audio)))

    audio, draws = Audio.of([torch.zeros(63), torch.zeros(3)]), Draws([4, 5])
    texts = Long(ONE_WAY, beam=0).transcribe(audio, draws)
    assert texts == [" ".join(["AB"] * 21), "AB"]
    assert sizes == [8, 8, 6]
    parts = [draws.pick([0]).fork(f"part {n}").seeds[0] for n in range(21)]
    assert streams == [*parts, 5]


def test_a_beam_takes_a_text_that_ended() -> None:
    assert Writer(ENDS, beam=2)() == ["A"]


def test_a_beam_that_never_ends_takes_what_it_has() -> None:
    assert Writer(NEVER_ENDS, beam=2, longest=3)() == ["ABA"]


def test_a_beam_searches_each_utterance_of_a_batch() -> None:
    chains = [ONE_WAY, NEVER_ENDS, ENDS, ONE_WAY]
    alone = [Writer(chain, beam=2, longest=3)()[0] for chain in chains]
    assert alone == ["AB", "ABA", "A", "AB"]
    assert Writer(*chains, beam=2, longest=3)() == alone

"""Texts without end, of a recognizer whose probability of the end is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from melmoat import attacks
from melmoat.attacks.base import adapt_goal
from melmoat.attacks.endless import Endless, NeverEnding
from melmoat.attacks.gradient import PGD
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.models.seq2seq import Seq2Seq, Vocabulary

LETTER, END, LONGEST = 0, 1, 12


@dataclass
class Odds:
    """After every token the same log-odds of the end. Shape: ``[B]``."""

    odds: Tensor
    fresh: bool = True

    def read(self, tokens: Tensor) -> Tensor:
        count = tokens.shape[1] + self.fresh
        self.fresh = False
        logits = torch.stack([torch.zeros_like(self.odds), self.odds], -1)
        return logits.log_softmax(-1)[:, None].expand(-1, count, -1)

    def pick(self, rows: Sequence[int]) -> Odds:
        return Odds(self.odds[list(rows)], self.fresh)


class Talker(Seq2Seq):
    """Ends at once at silence; the louder the sum of the samples, the longer it talks."""

    rate = 16_000
    vocabulary = Vocabulary(
        lambda text: [LETTER] * len(text), lambda tokens: "A" * len(tokens), END, LONGEST, LONGEST
    )

    def encode(self, audio: Audio, draws: Draws) -> Odds:
        return Odds(1 - (audio.wav * audio.mask).sum(1))


def audio(*sums: float) -> Audio:
    return Audio.of([torch.full((10 * (i + 1),), s / (10 * (i + 1))) for i, s in enumerate(sums)])


def test_the_loss_is_that_of_an_end_at_none_of_the_tokens() -> None:
    heard = audio(0.0, 3.0)
    loss = NeverEnding(Talker()).loss(heard, ["", ""], Draws([0, 1]))
    ends = 1 / (1 + math.exp(-1)), 1 / (1 + math.exp(2))  # ended at once; broken off after 12
    expected = [-math.log(1 - ends[0]), -12 * math.log(1 - ends[1])]
    assert torch.allclose(loss, torch.tensor(expected))


def test_the_gradient_is_exact() -> None:
    waves = audio(0.5, 2.0)

    def loss(x: Tensor) -> Tensor:
        return NeverEnding(Talker()).loss(Audio(x, waves.lengths), ["", ""], Draws([0, 1]))

    assert torch.autograd.gradcheck(loss, waves.wav.double().requires_grad_())


def test_an_attack_makes_it_talk_until_it_is_stopped() -> None:
    clean = audio(0.1, 0.2)
    attack = attacks.build("pgd:norm=linf,eps=0.2,steps=5,target=endless,stop=true")
    assert isinstance(attack, PGD)
    goal = adapt_goal(attack.goal(["", ""], ["A", "A"]), Talker())
    assert goal.reached(["", "A" * 12]) == [False, True]
    assert goal.distances(["A" * 2, "A" * 12]) == [10, 0]
    out = attack(Talker(), clean, goal, Draws([0, 1]))
    assert goal.reached(Talker().transcribe(out, Draws([2, 3]))) == [True, True]


def test_a_batch_and_one_alone_give_the_same() -> None:
    waves = audio(0.3, 3.0)
    both = NeverEnding(Talker()).loss(waves, ["", ""], Draws([0, 1]))
    alone = [NeverEnding(Talker()).loss(waves.pick([i]), [""], Draws([i])) for i in range(2)]
    assert torch.allclose(both, torch.cat(alone))


def test_a_recognizer_without_tokens_is_refused(tiny: DeepSpeech2) -> None:
    with pytest.raises(MelmoatError, match="token after token, such as Whisper"):
        adapt_goal(Endless(1), tiny)

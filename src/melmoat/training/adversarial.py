"""Adversarial training (Madry et al. 2018): utterances are attacked as they are learnt from.

The attack is crafted on the recognizer as it is at that step, from the truth, so that what it
learns from is always its own weakness of the moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn

from melmoat.attacks.base import Attack
from melmoat.audio import Audio
from melmoat.draws import Draws, derive
from melmoat.training.students import Student


@dataclass(frozen=True)
class Adversary:
    """Attacks a share of the utterances of each batch.

    Args:
        attack: what is crafted. Untargeted, it moves away from the truth.
        share: of the utterances, drawn for each.
    """

    attack: Attack
    share: float = 1.0

    def __call__(self, model: Student, audio: Audio, texts: Sequence[str], seed: int) -> Audio:
        """``audio`` with the chosen utterances attacked on ``model``, which is in eval mode then.

        Args:
            texts: what is said.
            seed: of the choice and of the attack's draws, which are each utterance's own.
        """
        draws = Draws(derive(seed, i) for i in range(len(audio)))
        chance = draws.fork("chosen").uniform(audio.wav[:, :1])[:, 0]
        rows = (chance < self.share).nonzero().flatten().tolist()
        if not rows:
            return audio
        some, said = audio.pick(rows), [texts[row] for row in rows]
        with _frozen(model.eval()):
            out = self.attack(model, some, self.attack.goal(said, said), draws.pick(rows))
        wav = audio.wav.clone()
        wav[rows, : out.wav.shape[1]] = out.wav
        return audio.with_wav(wav)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Without gradients of the weights, which the attack does not need."""
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    for weight in learnt:
        weight.requires_grad_(False)
    try:
        yield
    finally:
        for weight in learnt:
            weight.requires_grad_(True)

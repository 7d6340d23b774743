"""Adversarial training (Madry et al. 2018): utterances are attacked as they are learnt from.

The attack is crafted on the recognizer as it is at that step and moves away from the truth. It sees
the network in eval mode, so begin with a trained one: the statistics of batch norm lag behind
weights that change fast.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from melmoat.attacks import ATTACKS
from melmoat.attacks.base import Attack, AttackError
from melmoat.audio import Audio
from melmoat.draws import Draws, derive
from melmoat.models.base import frames_needed
from melmoat.training.trainable import Trainable, method_of


@dataclass(frozen=True)
class Adversary:
    """Attacks a share of the examples of each batch.

    Args:
        attack: what is crafted.
        share: of the examples, drawn for each. One whose text does not fit into its frames has no
            loss and is left as it is.
    """

    attack: Attack
    share: float = 1.0

    def __call__(self, model: Trainable, audio: Audio, texts: Sequence[str], seed: int) -> Audio:
        """``audio`` with the chosen examples attacked on ``model``.

        Args:
            texts: what is said.
            seed: of the choice and of the attack's draws, which are each example's own.

        Raises:
            AttackError: no finite gradient reaches the audio.
        """
        draws = Draws(derive(seed, i) for i in range(len(audio)))
        chance = draws.fork("chosen").uniform(audio.wav[:, :1])[:, 0]
        rows = [
            row
            for row in (chance < self.share).nonzero().flatten().tolist()
            if frames_needed(model.targets([texts[row]])[0].tolist())
            <= method_of(model).frames(model, int(audio.lengths[row]))
        ]
        if not rows:
            return audio
        some, said = audio.pick(rows), [texts[row] for row in rows]
        with _still(model):
            try:
                out = self.attack(model, some, self.attack.goal(said, said), draws.pick(rows))
            except AttackError as error:
                raise AttackError(
                    f"the attack to train against found no way ({error}); a run that comes this "
                    "far wants a lower --lr, or a trained recognizer to --start from"
                ) from error
        wav: Tensor = audio.wav.clone()
        wav[rows, : out.wav.shape[1]] = out.wav
        return audio.with_wav(wav)


def adversary(spec: str, share: float) -> Adversary:
    """The one that attacks by ``spec``.

    Raises:
        AttackError: no attack, or one with a target: what is learnt from moves off the truth.
    """
    made = ATTACKS.build(spec)
    if made.budget is None or getattr(made, "target", None) is not None:
        raise AttackError(
            f"{spec}: to train against, give an attack that changes audio within a budget, and "
            "without target=, since it moves away from what is said"
        )
    return Adversary(made, share)


@contextmanager
def _still(model: Trainable) -> Iterator[None]:
    """In eval mode and without gradients of the weights, which the attack does not need."""
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    training = model.training
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(training)
        for weight in learnt:
            weight.requires_grad_(True)

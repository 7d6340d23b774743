"""Adversarial training (Madry et al. 2018): training examples are attacked at each step.

The attack is crafted on the recognizer in its current state and moves away from the reference. It
uses the network in eval mode, so begin with a trained one: the statistics of batch norm lag behind
weights that change fast.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks import ATTACKS
from melmoat.attacks.base import Attack, AttackError, adapt_goal
from melmoat.audio import Audio
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws, derive
from melmoat.models.base import frames_needed
from melmoat.training.trainable import Trainable, method_of


@dataclass(frozen=True)
class Adversary:
    """Attacks a share of the examples of each batch.

    Args:
        attack: the attack.
        share: probability that an example is attacked. An example whose text does not fit into its
            frames has no loss and is not attacked.
        fade: each perturbation is scaled down by 0 to so many dB, so that the recognizer meets
            attacks of all sizes.
    """

    attack: Attack
    share: float = 1.0
    fade: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise AttackError(f"attacked must lie between 0 and 1, got {self.share}")
        if not 0 <= self.fade < math.inf:
            raise AttackError(f"fade must be finite and not negative, got {self.fade}")

    def __call__(
        self,
        model: Trainable,
        audio: Audio,
        texts: Sequence[str],
        seed: int,
        front_end: FrontEnd | None = None,
    ) -> Audio:
        """``audio`` with the chosen examples attacked on ``model``.

        Args:
            texts: the reference of each example.
            seed: seed of the choice and of the attack's draws; each example has its own stream.
            front_end: what ``model`` stands behind. The attack is crafted through it.

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
        some, references = audio.pick(rows), [texts[row] for row in rows]
        system = front_end.wrap(model) if front_end else model
        # Compared in its way: phonemes are never the words of a reference, and an attack that
        # stops at the first difference would stop before its first step.
        goal = adapt_goal(self.attack.goal(references, references), system)
        with _still(model):
            try:
                out = self.attack(system, some, goal, draws.pick(rows))
            except AttackError as error:
                raise AttackError(
                    f"the attack to train against failed ({error}); use a lower --lr, or a "
                    "trained recognizer to --start from"
                ) from error
        wav: Tensor = audio.wav.clone()
        clean = wav[rows, : out.wav.shape[1]]
        size = 10 ** (-self.fade / 20 * draws.pick(rows).fork("fade").uniform(clean[:, :1]))
        wav[rows, : out.wav.shape[1]] = torch.lerp(clean, out.wav, size)
        return audio.with_wav(wav)


def adversary(spec: str, share: float, fade: float = 0.0) -> Adversary:
    """The adversary with the attack ``spec``.

    Raises:
        AttackError: the spec changes nothing or has a target; training attacks are untargeted.
    """
    made = ATTACKS.build(spec)
    if made.budget is None or getattr(made, "target", None) is not None:
        raise AttackError(
            f"{spec}: to train against, give an attack that changes audio within a budget, and "
            "without target=, because it moves away from the reference"
        )
    return Adversary(made, share, fade)


@contextmanager
def _still(model: Trainable) -> Iterator[None]:
    """Put the model in eval mode, without gradients of the weights, for the attack."""
    learnt = [weight for weight in model.parameters() if weight.requires_grad]
    training = model.training
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        model.train(training)
        for weight in learnt:
            weight.requires_grad_(True)

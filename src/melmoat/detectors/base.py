"""The interface of detectors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer


class Detector:
    """Says how suspect each recording is; subclasses implement :meth:`score`.

    A detector listens to a recognizer, and may itself be attacked: :meth:`evasion`.
    """

    def score(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """How suspect each utterance is; larger is more suspect. Shape: ``[B]``.

        Utterance ``i`` depends on its own audio and on stream ``i`` alone.
        """
        raise NotImplementedError

    def evasion(
        self, model: Recognizer, audio: Audio, draws: Draws, targets: Sequence[str] | None
    ) -> Tensor:
        """What an attacker who knows the detector adds to the loss, so that the score stays low.

        It is differentiable, of the size of a sequence loss (nats), and lower where the score is
        lower. It need not be the score itself.

        Args:
            targets: the transcripts that the attacker wants; None if untargeted.

        Shape: ``[B]``.

        Raises:
            MelmoatError: the detector has none.
        """
        raise MelmoatError(
            f"{type(self).__name__} has no evasion, so no attack that knows it can be built, and "
            "its detection rate says nothing about such attackers (docs/detection.md)"
        )


def score(
    detector: Detector, model: Recognizer, audio: Audio, draws: Draws | None = None
) -> list[float]:
    """The score of each utterance, without a gradient, checked: it may be a user's own detector.

    Args:
        draws: its random numbers; if None, from a fresh secret seed.

    Raises:
        MelmoatError: it did not return one finite number an utterance.
    """
    with torch.no_grad():
        found = detector.score(model, audio, draws or Draws.secret(len(audio)))
    name = type(detector).__name__
    if not isinstance(found, Tensor) or found.shape != (len(audio),):
        what = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise MelmoatError(
            f"{name}.score returned {what} for {len(audio)} utterance(s); expected a tensor of "
            f"shape [{len(audio)}]"
        )
    if not torch.isfinite(found).all():
        raise MelmoatError(f"{name}.score returned NaN or Inf")
    scores: list[float] = found.double().tolist()
    return scores

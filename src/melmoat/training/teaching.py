"""Teaching: a fixed recognizer says what a learning one should have heard.

The teacher hears the speech without noise, attack and defense, and the pupil hears it with them.
The pupil learns the teacher's probabilities of each frame, which say far more of a recording than
its text does (Hinton et al. 2015; for noise Mosner et al. 2019; for attacks Goldblum et al. 2020).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from melmoat.audio import RATE, Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import load
from melmoat.models.base import CTCRecognizer, kind_of, labels_of, require_ctc
from melmoat.spectral import frame_mask


class Teacher:
    """What a pupil should have heard, and how far it was from it.

    Args:
        spec: the teacher.
        pupil: a recognizer of the same symbols and frames.
        device: where the teacher computes.

    Raises:
        MelmoatError: the teacher has other symbols or frames, or none at all.
    """

    def __init__(self, spec: str, pupil: CTCRecognizer, device: str) -> None:
        model = load(spec)
        if kind_of(model) != "ctc" or _symbols(model, device) != _symbols(pupil, device):
            raise MelmoatError(
                f"{spec} cannot teach this recognizer: a teacher has the same symbols and frames, "
                "such as the recognizer that the training starts from"
            )
        self.model = require_ctc(model)

    def __call__(self, clean: Audio, log_probs: Tensor) -> Tensor:
        """The Kullback-Leibler divergence of the teacher's probabilities from the pupil's, summed
        over the frames of each utterance, in nats; differentiable in the pupil's.

        Args:
            clean: what the teacher hears.
            log_probs: the pupil's ``[B, F, V]``, of recordings as long as ``clean``.

        Shape: ``[B]``.
        """
        with torch.no_grad():
            wanted, frames = self.model.log_probs(clean, Draws([0] * len(clean)))
        each = kl_div(log_probs, wanted, reduction="none", log_target=True).sum(-1)
        return each.masked_fill(~frame_mask(frames, each.shape[1]), 0).sum(1)


def _symbols(model: Any, device: str) -> tuple[object, torch.Size, int]:
    """The symbols, and how many of them and of their frames a second of audio has."""
    written = labels_of(model) or getattr(getattr(model, "inventory", None), "symbols", None)
    if isinstance(model, torch.nn.Module):
        model.to(device)
    second = Audio.of([torch.zeros(RATE)], model.rate).to(device)
    with torch.no_grad():
        log_probs, frames = model.log_probs(second, Draws([0]))
    return written, log_probs.shape, int(frames)

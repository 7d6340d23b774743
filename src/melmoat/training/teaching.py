"""Teaching: a fixed recognizer says what a learning one should have heard.

The teacher hears the speech without noise, attack and defense, and the pupil hears it with them.
The pupil learns the teacher's probabilities of each frame (Li et al. 2014, *Learning small-size DNN
with output-distribution-based criteria*; Mosner et al. 2019 for noise). They say far more of a
recording than its text does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import kl_div

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import CTCRecognizer
from melmoat.spectral import frame_mask


def divergence(teacher: CTCRecognizer, clean: Audio, log_probs: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the teacher's probabilities from the pupil's, summed over the
    frames of each utterance, in nats; differentiable in the pupil's.

    Args:
        teacher: hears ``clean``; as many symbols and frames as the pupil.
        log_probs: the pupil's ``[B, F, V]``, of recordings as long as ``clean``.

    Shape: ``[B]``.
    """
    with torch.no_grad():
        wanted, frames = teacher.log_probs(clean, Draws([0] * len(clean)))
    each = kl_div(log_probs, wanted, reduction="none", log_target=True).sum(-1)
    return each.masked_fill(~frame_mask(frames, each.shape[1]), 0).sum(1)

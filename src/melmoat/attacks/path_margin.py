"""A scale-free margin of the best path: for sequences what DLR is for classes.

The sequence loss saturates where a recognizer is very sure, and its gradient vanishes in float32.
The difference of logits ratio (Croce & Hein 2020, section 4) does not change if all logits are
multiplied by a number. With ``z`` the logits of one decision in falling order and ``y`` the label
that the text needs there:

    ``d = (max over i != y of z_i - z_y) / (z_1 - z_3)``

It lies in [-1, 0] while ``y`` wins, and is above 0 when it has lost. An attack that raises it cuts
it at ``LOST``: what has been lost needs no more perturbation. One that lowers it, towards a target,
cuts it at 1: what has not been won yet needs its gradient. A CTC recognizer decides in each frame.
``y`` is the label of the text's likeliest alignment, found anew at each step. A recognizer of
tokens decides at each token of the text, given those before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from melmoat.attacks.margin import alignment
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import FromFrames, Recognizer, check_frames, kind_of, require_ctc
from melmoat.models.seq2seq import require_tokens, teacher_forced
from melmoat.models.wrappers import Wrapper

TINY = 1e-12
LOST = 0.2  # chosen on training speakers, suites/standard_tuning.py


def path_margin(model: Recognizer, cut: float = 1.0) -> Recognizer:
    """The same recognizer; its loss is the mean of ``d`` over the text's best path.

    Args:
        cut: the most that ``d`` counts.

    Raises:
        MelmoatError: the recognizer shows neither frames nor tokens.
    """
    kind = kind_of(model)
    if kind == "text":
        raise MelmoatError(
            f"{type(model).__name__} has neither frame-wise nor token probabilities, which "
            "loss=margin needs; use loss=sequence"
        )
    return _Frames(model, cut) if kind == "ctc" else _Tokens(model, cut)


def ratio(logits: Tensor, wanted: Tensor, cut: float = 1.0) -> Tensor:
    """``d`` of each decision, at most ``cut``. Shape: ``[..., V]``, ``[...]`` -> ``[...]``."""
    own = logits.gather(-1, wanted[..., None])[..., 0]
    other = logits.scatter(-1, wanted[..., None], -torch.inf).amax(-1)
    ordered = logits.topk(min(3, logits.shape[-1]), dim=-1).values
    spread = (ordered[..., 0] - ordered[..., -1]).clamp(min=TINY)
    return ((other - own) / spread).clamp(max=cut)


class _Cut(Wrapper):
    def __init__(self, model: Recognizer, most: float) -> None:
        super().__init__(model)
        self.most = most


class _Frames(FromFrames, _Cut):
    """Frames that need a label and those that need the blank count half each: otherwise the blanks,
    which are most, would decide."""

    def loss_of(self, log_probs: Tensor, frames: Tensor, texts: Sequence[str]) -> Tensor:
        """Mean over the path. Shape: ``[B]``. Errors as for the recognizer's own loss."""
        targets = require_ctc(self.model).targets(texts)
        check_frames(frames, targets, texts)
        path = alignment(log_probs.detach(), frames, targets)
        each = ratio(log_probs, path, self.most)
        inside = torch.arange(path.shape[1], device=path.device) < frames[:, None]
        blank = path == 0
        return _mean(each, inside & ~blank) + _mean(each, inside & blank)


class _Tokens(_Cut):
    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        """Mean over the text's tokens and its end. Shape: ``[B]``."""
        logs, wanted, inside = teacher_forced(require_tokens(self.model), audio, texts, draws)
        return _mean(ratio(logs, wanted, self.most), inside)


def _mean(each: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen ones of each row; 0 if there are none. Shape: ``[B, N]`` -> ``[B]``."""
    return (each * chosen).sum(1) / chosen.sum(1).clamp(min=1)

"""Detectors that look at the recognizer's output distributions alone (Pizarro et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.detectors.base import Detector
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import Recognizer, kind_of, require_ctc, transcribe
from melmoat.models.seq2seq import readable, require_tokens, teacher_forced

NONE = -100.0  # log of no probability; its products are zero, and so are their gradients


class DistriBlock(Detector):
    """A statistic of the output distributions of frames or tokens (DistriBlock).

    A recognizer is less certain of adversarial audio than of speech. A CTC recognizer has one
    distribution for each frame. A token recognizer has one for each token of its own transcript,
    and one for the end of it. Source: Pizarro et al. 2024, *DistriBlock*, section 4; they also fit
    classifiers to several statistics, which this does not.

    Args:
        measure: ``entropy`` of a distribution, or ``kl``: the divergence of each distribution from
            the next one. In nats.
        over: how the values of an utterance become one score.
    """

    def __init__(
        self,
        measure: Literal["entropy", "kl"] = "entropy",
        over: Literal["mean", "median", "max"] = "mean",
    ) -> None:
        self.measure, self.over = measure, over

    def score(self, model: Recognizer, audio: Audio, draws: Draws) -> Tensor:
        """The statistic. Shape: ``[B]``.

        Raises:
            MelmoatError: the recognizer shows no distributions.
        """
        return torch.stack([self._statistic(one) for one in _distributions(model, audio, draws)])

    def evasion(
        self, model: Recognizer, audio: Audio, draws: Draws, targets: Sequence[str] | None
    ) -> Tensor:
        """The score times the number of distributions: so it has the size of a sequence loss."""
        found = _distributions(model, audio, draws)
        return torch.stack([self._statistic(one) * len(one) for one in found])

    def _statistic(self, logs: Tensor) -> Tensor:
        """The score of log probabilities ``[N, V]``; 0 where there is nothing to compare."""
        logs = logs.clamp(min=NONE)
        values: Tensor
        if self.measure == "entropy":
            values = -(logs.exp() * logs).sum(1)
        else:
            values = (logs[:-1].exp() * (logs[:-1] - logs[1:])).sum(1)
        if not len(values):
            return logs.new_zeros(())
        if self.over == "mean":
            return values.mean()
        if self.over == "median":  # of two in the middle torch.median would take the lower one
            return torch.quantile(values, 0.5)
        return torch.amax(values)


def _distributions(model: Recognizer, audio: Audio, draws: Draws) -> list[Tensor]:
    """The log probabilities ``[N, V]`` of each utterance, without padding."""
    kind = kind_of(model)
    if kind == "ctc":
        logs, frames = require_ctc(model).log_probs(audio, draws)
        return [one[:count] for one, count in zip(logs, frames.tolist(), strict=True)]
    if kind == "tokens":
        with torch.no_grad():
            heard = transcribe(model, audio, draws.fork("plain"))
        texts = [readable(model, text) for text in heard]
        streams = draws.fork("plain")
        logs, _, inside = teacher_forced(require_tokens(model), audio, texts, streams)
        return [one[: int(kept.sum())] for one, kept in zip(logs, inside, strict=True)]
    raise MelmoatError(
        f"distriblock needs the probabilities of frames or tokens, and {type(model).__name__} "
        "shows none; use disagreement or likelihood, which take any recognizer"
    )

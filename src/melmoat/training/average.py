"""Exponential moving average of weights; the average is validated and exported."""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move ``mean`` towards ``model`` after step number ``step``.

    Its memory is short at first, so that early weights are forgotten. Counters are copied.
    """
    decay = min(decay, step / (step + 20))
    pairs = zip(mean.state_dict().values(), model.state_dict().values(), strict=True)
    for average, value in pairs:
        if average.is_floating_point():
            average.lerp_(value, 1 - decay)
        else:
            average.copy_(value)

"""Noise flooding: noise on a time-frequency representation, relative to its own strength.

The paper's formulas, from its authors' preprocessor. Both scale shaped Gaussian noise ``n``:

* ``norm=frame``: ``x_t + level * ||x_t|| * n_t / ||n_t||`` in every frame ``t``;
* ``norm=utterance``: ``x + level * n / ||n||`` over the whole utterance, so its strength in each
  frame falls with the utterance's length, including silence. The sender of a recording controls
  this length. With ``norm=frame`` nothing outside a frame can change the strength in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from melmoat.draws import Draws
from melmoat.spectral import frame_mask


@dataclass(frozen=True)
class Flooding:
    """Shaped noise.

    Args:
        level: strength; 0.05 in the authors' final configs (``frame``), 20 in an earlier one
            (``utterance``).
        shaping: strength of each band relative to the others; None for equal strength.
        norm: what the noise is scaled to.
        shape: whether the curve shapes the noise's amplitude (the authors' code) or its variance
            (the paper's text).
    """

    level: float
    shaping: tuple[float, ...] | None = None
    norm: Literal["frame", "utterance"] = "frame"
    shape: Literal["amplitude", "variance"] = "amplitude"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.level) and self.level >= 0):
            raise ValueError(f"level must be a finite number, at least 0; got {self.level}")

    def __call__(self, x: Tensor, frames: Tensor, draws: Draws) -> Tensor:
        """``x`` with noise; the gradient also flows through the scale of the noise.

        Args:
            x: a real representation. Shape: ``[B, bands, F]``.
            frames: frames of each utterance; noise beyond them is not meaningful. Shape: ``[B]``.
            draws: one stream an utterance.
        """
        return self._add(x, draws.normal(x), frames)

    def pieces(self, draws: Draws) -> Callable[[Tensor], Tensor]:
        """The same on a representation of one utterance that comes piece by piece, ``[1, bands,
        F]`` each; only with ``norm=frame``."""
        if self.norm != "frame":
            raise ValueError(f"norm={self.norm} needs the whole utterance")
        normal = draws.normal_pieces()
        return lambda x: self._add(x, normal(x), torch.tensor([x.shape[-1]]))

    def _add(self, x: Tensor, noise: Tensor, frames: Tensor) -> Tensor:
        if self.shaping is not None:
            curve = x.new_tensor(self.shaping)
            noise = noise * (curve if self.shape == "amplitude" else curve.sqrt())[:, None]
        if self.norm == "frame":
            # A silent frame of STFT coefficients has norm 0: no noise, and no NaN gradient.
            size = x.square().sum(1, keepdim=True).clamp(min=1e-30).sqrt()
            drawn = torch.linalg.vector_norm(noise, dim=1, keepdim=True)
            flooded: Tensor = x + self.level * size * noise / drawn
            return flooded
        inside = frame_mask(frames, x.shape[-1])[:, None]
        total: Tensor = torch.linalg.vector_norm(noise * inside, dim=(1, 2), keepdim=True)
        return x + self.level * noise / total

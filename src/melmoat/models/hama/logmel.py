"""The log-mel spectrum that both networks of hama hear, as their files define it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from melmoat.audio import Audio
from melmoat.spectral import reflect_pad

WINDOW = 400  # samples
HOP = 160  # samples
BINS = WINDOW // 2 + 1
BANDS = 80
FLOOR = 1e-10  # of the power in a band; its gradient there is zero


class LogMel(nn.Module):
    """``log(max(1e-10, |X|^2 M))`` of centred frames, exact for ragged batches."""

    cosine: Tensor  # windowed, [BINS, WINDOW]
    sine: Tensor  # [BINS, WINDOW]
    filters: Tensor  # [BINS, BANDS]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("cosine", torch.zeros(BINS, WINDOW))
        self.register_buffer("sine", torch.zeros(BINS, WINDOW))
        self.register_buffer("filters", torch.zeros(BINS, BANDS))

    def forward(self, audio: Audio) -> tuple[Tensor, Tensor]:
        """The spectrum ``[B, F, BANDS]`` and the frames ``[B]``, ``1 + length // HOP``.

        Raises:
            AudioError: an utterance is too short to be reflected.
        """
        windows = reflect_pad(audio, WINDOW // 2).unfold(1, WINDOW, HOP)
        power = (windows @ self.cosine.T).square() + (windows @ self.sine.T).square()
        return (power @ self.filters).clamp(min=FLOOR).log(), 1 + audio.lengths // HOP

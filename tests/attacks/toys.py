"""A recognizer that attacks defeat in a few steps, so that tests of success take no time."""

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import CTC
from melmoat.text import LABELS

HOP = 320


class Frames(CTC):
    """Characters of each 20 ms from its samples alone: one hidden layer, random weights."""

    rate = 16_000
    labels = LABELS

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        generator = torch.Generator().manual_seed(0)
        self.inner = torch.randn(HOP, 64, generator=generator).to(dtype)
        self.outer = torch.randn(64, len(LABELS), generator=generator).to(dtype)

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        whole = F.pad(audio.wav, (0, HOP)).unfold(1, HOP, HOP)
        inner, outer = self.inner.to(whole), self.outer.to(whole)
        return (torch.tanh(whole @ inner) @ outer).log_softmax(-1), audio.lengths // HOP

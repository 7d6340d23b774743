"""Kenansville (Abdullah et al. 2019): drop the weakest parts of the spectrum, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from melmoat.attacks.base import Access, Goal, Objective
from melmoat.attacks.budgets import SNR, within_scale
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models.base import Recognizer


@dataclass(frozen=True)
class Kenansville(Objective):
    """Removes the weakest bins of each utterance's spectrum; it sees no recognizer.

    The attack sees neither recognizer nor transcripts. Every recognizer gets the same audio. A
    target is refused.

    Args:
        db: least signal-to-noise ratio in dB, with the removed part as the noise.
    """

    access: ClassVar[Access] = "black-box"
    db: float = 20.0
    evaluations = 0

    def __post_init__(self) -> None:
        if self.target is not None:
            raise ValueError("kenansville cannot aim at a target: it does not use a recognizer")
        _ = self.budget

    @property
    def budget(self) -> SNR:
        """The signal-to-noise ratio."""
        return SNR(self.db)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        delta = torch.zeros_like(audio.wav)
        for i, wave in enumerate(audio):
            delta[i, : len(wave)] = -weakest(wave, 10 ** (-self.db / 10))
        delta = within_scale(self.budget.project(delta, audio), audio.wav)
        return audio.with_wav(audio.wav + delta)


def weakest(wave: Tensor, share: float) -> Tensor:
    """The weakest Fourier bins of ``wave`` that together hold at most ``share`` of its power. The
    mean is never removed and does not count as power.

    Shape: ``[L]`` -> ``[L]``.
    """
    spectrum = torch.fft.rfft(wave)
    power = spectrum.abs().double().square()
    power[1 : (len(wave) + 1) // 2] *= 2  # all but 0 Hz and Nyquist stand for two bins
    power[0] = 0.0
    order = power.argsort(stable=True)
    removed = power[order].cumsum(0) <= share * power.sum()
    remaining = torch.ones_like(removed)
    remaining[order] = ~removed
    remaining[0] = True
    part: Tensor = torch.fft.irfft(spectrum.masked_fill(remaining, 0), n=len(wave))
    return part

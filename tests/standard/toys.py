"""Recognizers of beeps, for which it is known what an attack can do, and planted defenses.

A word is one letter. Each frame of 31 ms holds a loud carrier, which nobody listens to, and a
quiet tone: of a letter or of the space between two words. A frame is heard wrong once its tone is
half as loud: with tones ``down_db`` below the carrier, an utterance is wholly wrong for a
perturbation of ``down_db + 6`` dB SNR, and no frame of five can be changed 7 dB below that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import permutations

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.models.base import CTC

LETTERS = "ABCDEFGH"
LABELS = f"_{LETTERS} "
FRAME = 500
CARRIER, FIRST = 5, 20  # cycles in a frame
LOUD = 0.3


def _tone(cycles: int) -> Tensor:
    return torch.cos(2 * math.pi * cycles * torch.arange(FRAME) / FRAME)


def speech(count: int, down_db: float, words: int = 3) -> list[tuple[Tensor, str]]:
    """``count`` utterances and their texts."""
    texts = [" ".join(letters) for letters in permutations(LETTERS, words)][:: 336 // count][:count]
    quiet = LOUD * 10 ** (-down_db / 20)
    tones = {label: quiet * _tone(FIRST + i) for i, label in enumerate(LABELS[1:])}
    carrier = LOUD * _tone(CARRIER)
    return [(torch.cat([carrier + tones[letter] for letter in text]), text) for text in texts]


@dataclass
class Beeps(CTC):
    """Hears tones that are ``down_db`` below the carrier."""

    down_db: float = 35.0
    rate = 16_000
    labels = LABELS

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        frames = torch.nn.functional.pad(audio.wav, (0, FRAME)).unfold(1, FRAME, FRAME)
        turn = 2 * math.pi * torch.arange(FRAME) / FRAME
        cycles = torch.arange(FIRST, FIRST + len(LABELS) - 1)[:, None]
        both = torch.stack([torch.cos(turn * cycles), torch.sin(turn * cycles)])
        parts = torch.einsum("bft,kct->bfkc", frames.to(both.dtype), both) * 2 / FRAME
        quiet = LOUD * 10 ** (-self.down_db / 20)
        heard = (parts.square().sum(2) + 1e-6 * quiet**2).sqrt() / quiet
        blank = torch.full_like(heard[..., :1], 0.5)
        logs = (20 * torch.cat([blank, heard], -1)).log_softmax(-1)
        return logs, audio.lengths // FRAME


def fragile() -> Beeps:
    """What ``python:tests.standard.toys:fragile`` calls."""
    return Beeps(35.0)


class Zero(FrontEnd):
    """Rounds to 15 bits and says nothing of it: its gradient is zero."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav((audio.wav * 2**14).round() / 2**14)


class Shattered(FrontEnd):
    """Adds a ripple that nobody hears and that turns every gradient into noise."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav + 1e-6 * torch.sin(1e9 * audio.wav))


class Vanishing(FrontEnd):
    """Its gradient is 1e-20 of what it should be."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        small = audio.wav * 1e-20
        return audio.with_wav(small + (audio.wav - small).detach())


class FixedNoise(FrontEnd):
    """Noise that is the same at every call."""

    stochastic = True

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        noise = Draws([0] * len(audio)).normal(audio.wav)
        return audio.with_wav(audio.wav + 1e-3 * noise)


class Detects(FrontEnd):
    """Mutes the tones if somebody asks for a gradient."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        if audio.wav.requires_grad:
            return audio.with_wav(audio.wav.clamp(-1e-4, 1e-4))
        return audio


class OnlyL2(FrontEnd):
    """The gradient at a few samples is huge: steps in l2 waste the budget on them."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        few = torch.arange(audio.wav.shape[1]) % 211 == 0
        large = 1e7 * audio.wav * few
        return audio.with_wav(audio.wav + (large - large.detach()))


class Undeclared(FrontEnd):
    """Draws noise from a global generator."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav + 1e-2 * torch.randn(audio.wav.shape))


class Hiss(FrontEnd):
    """Honest noise."""

    stochastic = True

    def __init__(self, level: float = 1e-3) -> None:
        self.level = level

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        return audio.with_wav(audio.wav + self.level * draws.normal(audio.wav))

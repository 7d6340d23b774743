"""Parts of somebody's own, each with one fault, for tests of the check."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from melmoat.attacks.base import Access, Goal, ThreatModel
from melmoat.audio import Audio
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.models import Recognizer
from melmoat.models.base import CTC


class Letters(CTC, nn.Module):
    """A small CTC recognizer without a fault, but for the one it is asked for."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        self.fault, self.rate, self.labels = fault, 16_000, "_ABCDEFGHIJKLMNOPQRSTUVWXYZ' "
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(0.3 * torch.randn(len(self.labels), 160, generator=generator))
        self.drop = nn.Dropout(0.1)
        if fault != "trainable":
            self.requires_grad_(False)
        if fault != "training":
            self.eval()

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[Tensor, Tensor]:
        wav, counts = audio.wav, audio.lengths // 160
        if self.fault == "leak":
            wav = wav - wav.mean(1, keepdim=True)
        if self.fault == "detached":
            wav = wav.detach() + 0 * wav.sum().detach()
        if self.fault == "flat":
            wav = (wav * 10).round() + 0 * wav
        wav = wav[:, : wav.shape[1] // 160 * 160]
        frames = wav.reshape(len(wav), -1, 160)
        level = frames.square().mean(2, keepdim=True)
        level = level.sqrt() if self.fault == "root" else (level + 1e-6).sqrt()
        out = self.drop(frames / (level + 1e-3)) @ self.weight.T
        if self.fault == "global":
            out = out + 0.1 * torch.randn(out.shape)
        return out if self.fault == "pair" else (self.ended(out), counts)  # type: ignore[return-value]

    def ended(self, out: Tensor) -> Tensor:
        return out if self.fault == "logits" else out.log_softmax(-1)

    def loss(self, audio: Audio, texts: list[str], draws: Draws) -> Tensor:  # type: ignore[override]
        loss = super().loss(audio, texts, draws)
        return loss.mean() if self.fault == "scalar" else loss * (1 + (self.fault == "twice"))


class Wave(FrontEnd):
    """A front-end with one fault."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.stochastic = fault in ("says stochastic", "global")
        self.differentiable = fault not in ("honest step", "in place")

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        wav = audio.wav
        if self.fault == "shorter":
            return Audio(wav[:, :-5], (audio.lengths - 5).clamp(min=1), audio.rate)
        if self.fault == "loudest":
            return audio.with_wav(0.5 * wav / wav.abs().max().clamp(min=1e-9))
        if self.fault == "tail":
            return Audio(wav + 0.1, audio.lengths, audio.rate)
        if self.fault == "global":
            return audio.with_wav(wav + 0.01 * torch.randn(wav.shape))
        if self.fault == "stochastic":
            return audio.with_wav(wav + 0.01 * draws.normal(wav))
        if self.fault == "in place":
            return audio.with_wav(wav.clamp_(-0.01, 0.01))
        if self.fault in ("step", "honest step"):
            return audio.with_wav((wav * 64).round() / 64)
        if self.fault == "detached":
            return audio.with_wav(wav.detach())
        if self.fault == "silence":
            return audio.with_wav(wav / wav.square().sum(1, keepdim=True).sqrt())
        return audio.with_wav(0.9 * wav)


@dataclass(frozen=True)
class Push(ThreatModel):
    """One step of an attack, with one fault."""

    access: ClassVar[Access] = "white-box"
    fault: str = ""
    norm: str = "snr"  # type: ignore[assignment]
    db: float | None = 30.0
    evaluations = 1

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        if self.fault == "in place":
            audio.wav.add_(0.1 * draws.normal(audio.wav)).mul_(audio.mask)
            return audio
        x = audio.wav.clone().requires_grad_(self.fault != "blind")
        loss = goal.loss(model, Audio(x, audio.lengths, audio.rate), draws)
        slope = torch.randn(x.shape) if self.fault in ("blind", "global") else x
        if self.fault not in ("blind", "global"):
            (slope,) = torch.autograd.grad(loss.sum(), x)
        budget = self.budget
        step = slope / slope.norm() if self.fault == "batch" else budget.step(slope, audio)
        delta = -step * budget.radius(audio)[:, None] * (2 if self.fault == "over" else 1)
        if self.fault == "wrong sign":
            delta = -delta
        if self.fault == "silence":
            delta = delta / audio.wav.abs().amax(1, keepdim=True) * 0.01
        wav = (audio.wav + delta).detach()
        return audio.with_wav(wav)


class Sly(Push):
    """The same, that says it is a black box."""

    access: ClassVar[Access] = "black-box"


class Two:
    """No part at all."""

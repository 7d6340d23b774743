"""Linear prediction: speech as a filter and its excitation, with noise in the excitation.

In each frame a filter predicts a sample from those before it (LPC, Atal & Hanauer 1971). What it
cannot predict is the excitation. The filter has the resonances of the mouth, the excitation has the
rest. Analysis and synthesis alone change nothing, whatever the order. So the defense is the noise
that replaces a part of the excitation; the filter shapes it like the speech. Filters are linear, so
the part that is kept comes back as the speech itself, and only the noise has to be filtered.

The code of WaveGuard (Hussain et al. 2021) is the extreme: all of the excitation is noise, with 10
coefficients and frames of 25 ms that overlap by a half. It keeps the gain of frames with a pitch
only; here every frame keeps its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.audio import Audio
from melmoat.defenses.base import FrontEnd, Gradient, with_gradient
from melmoat.draws import Draws

FRAME = 0.025  # seconds
EMPHASIS = 0.9  # the filter is fitted behind 1 - 0.9 z^-1, or it would model the tilt of voices
RIDGE = 1e-4  # white noise in the autocorrelation, a share of the power: filters stay stable
BLOCK = 20  # samples that the recursion takes at once
FLOOR = 1e-10  # energy of a frame of silence, far below a step of 16 bits


@dataclass(frozen=True)
class LPC(FrontEnd):
    """Analysis by linear prediction, noise in the excitation, and synthesis.

    The noise has the expected power of the excitation that it replaces. The mean (DC) of a
    recording bypasses it.

    Args:
        order: coefficients of a frame's filter.
        noise: share of the excitation's power that is noise: 0 changes nothing, 1 leaves the
            filters alone.
    """

    order: int
    noise: float

    def __post_init__(self) -> None:
        if not 1 <= self.order <= 64:
            raise ValueError(f"order must lie between 1 and 64, got {self.order}")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise must lie between 0 and 1, got {self.noise}")

    @property
    def stochastic(self) -> bool:  # type: ignore[override]
        """Whether there is noise."""
        return self.noise > 0

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        if self.noise == 0:
            return audio
        sound, hop = audio.centred, max(self.order + 2, round(audio.rate * FRAME / 2))
        # Half a frame of silence before each utterance and a whole one behind it: each sample lies
        # in two frames. Hann windows that overlap by a half add up to one.
        padded = F.pad(sound, (hop, 2 * hop + -sound.shape[1] % hop))
        window = torch.hann_window(2 * hop, dtype=sound.dtype, device=sound.device)
        frames = padded.unfold(1, 2 * hop, hop) * window
        coefficients, error = predictor(frames, self.order)
        drawn = draws.normal(padded).unfold(1, 2 * hop, hop)
        # The error is that of a windowed frame; its noise gets the same window.
        size = (error / window.square().sum()).sqrt()[..., None]
        made = synthesise(size * drawn, coefficients) * window
        halves = made.reshape(*made.shape[:2], 2, hop)
        noise = (halves[:, 1:, 0] + halves[:, :-1, 1]).flatten(1)[:, : sound.shape[1]]
        mixed = (1 - self.noise) ** 0.5 * sound + self.noise**0.5 * noise
        return audio.with_wav(mixed + (audio.wav - sound))


def predictor(frames: Tensor, order: int) -> tuple[Tensor, Tensor]:
    """The filter ``A`` that takes a frame to its excitation, and the excitation's energy.

    The Levinson-Durbin recursion on the autocorrelation of the frame behind the emphasis; ``A`` has
    the emphasis in it. All zeros of ``A`` lie inside the unit circle.

    Shape: ``[..., N]`` -> ``[..., order + 2]``, whose first is 1, and ``[...]``.
    """
    sharp = frames - EMPHASIS * F.pad(frames, (1, -1))
    spectrum = torch.fft.rfft(sharp, 2 * sharp.shape[-1])
    lags = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square())[..., : order + 1]
    error = lags[..., 0] * (1 + RIDGE) + FLOOR
    filter_ = torch.ones_like(lags[..., :1])
    for step in range(1, order + 1):
        reflection = -(filter_ * lags[..., 1 : step + 1].flip(-1)).sum(-1) / error
        longer = F.pad(filter_, (0, 1))
        filter_ = longer + reflection[..., None] * longer.flip(-1)
        error = error * (1 - reflection.square())
    return F.pad(filter_, (0, 1)) - EMPHASIS * F.pad(filter_, (1, 0)), error


class _Synthesis(torch.autograd.Function):
    """``1 / A`` on each frame, from silence: ``y_t = x_t - sum_k a_k y_{t-k}``.

    The gradient for ``x`` is the same filter backwards in time. ``a_k`` has ``y_{t-k}`` as its
    factor in step ``t``, so its gradient is minus the product of this with that of ``x_t``.
    """

    @staticmethod
    def forward(ctx: Any, frames: Tensor, coefficients: Tensor) -> Tensor:
        output = _recursive(frames, coefficients)
        ctx.save_for_backward(coefficients, output)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        coefficients, output = ctx.saved_tensors
        order = coefficients.shape[-1] - 1
        inner = _recursive(grad.flip(-1), coefficients).flip(-1)
        before = F.pad(output, (order, 0)).unfold(-1, order + 1, 1)
        slope = -(inner[..., None, :] @ before)[..., 0, :].flip(-1)
        return inner, F.pad(slope[..., 1:], (1, 0))


def _recursive(frames: Tensor, coefficients: Tensor) -> Tensor:
    """``1 / A`` in blocks, because steps are what takes time.

    In a block ``y = H (x + U past)``: ``past`` is the output before it, ``U`` what ``A`` takes of
    it, and ``H`` the impulse response of ``1 / A`` as a Toeplitz matrix.
    """
    order, total = coefficients.shape[-1] - 1, frames.shape[-1]
    blocks = F.pad(frames, (0, -total % BLOCK)).reshape(*frames.shape[:-1], -1, BLOCK)
    taken = F.pad(-coefficients[..., 1:], (0, BLOCK))
    backwards = taken[..., :order].flip(-1)
    start = max(BLOCK - 1, order)
    response = F.pad(torch.ones_like(taken[..., :1]), (start, BLOCK - 1))
    for t in range(start + 1, start + BLOCK):
        response[..., t] = (response[..., t - order : t] * backwards).sum(-1)
    row = torch.arange(BLOCK, device=frames.device)[:, None]
    impulse = response[..., start + row - row.T]
    reach = torch.arange(order, device=frames.device)
    held = torch.where(reach >= row, taken[..., order - 1 + row - reach], 0)
    onward, driven = impulse @ held, blocks @ impulse.mT
    past, out = torch.zeros_like(backwards), []
    for block in driven.unbind(-2):
        out.append(block + (onward @ past[..., None])[..., 0])
        past = torch.cat([past, out[-1]], dim=-1)[..., -order:]
    return torch.cat(out, dim=-1)[..., :total]


synthesise: Callable[[Tensor, Tensor], Tensor] = _Synthesis.apply


def lpc(order: int = 10, noise: float = 1.0, gradient: Gradient = "exact") -> FrontEnd:
    """Linear prediction (LPC) with noise as its excitation, as in WaveGuard.

    Args:
        order: coefficients of a filter; WaveGuard's code has 10.
        noise: share of the excitation's power that is noise, from 0 to 1; WaveGuard's code has 1.
        gradient: what attackers get in the backward pass.
    """
    return with_gradient(LPC(order, noise), gradient)

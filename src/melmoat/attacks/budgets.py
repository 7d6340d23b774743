"""How much an attack may change, and the geometry that goes with it.

A budget gives each utterance a radius that may depend on its length and level, in one of two norms.
``L2`` and ``SNR`` have the same ball with different radii. A level is computed without the mean of
the signal (:attr:`melmoat.audio.Audio.centred`). A perturbation counts with its mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from melmoat.audio import PCM16, Audio, check_db
from melmoat.draws import Draws

TINY = 1e-30
FAINT = 1e-15  # largest sample of a gradient, below which squares are lost


class Budget(Protocol):
    """A set of allowed perturbations of each utterance."""

    def radius(self, clean: Audio) -> Tensor:
        """Largest allowed norm of each utterance's perturbation. Shape: ``[B]``."""
        ...

    def norm(self, delta: Tensor) -> Tensor:
        """Norm of each perturbation. Shape: ``[B, T]`` -> ``[B]``."""
        ...

    def project(self, delta: Tensor, clean: Audio) -> Tensor:
        """The nearest allowed perturbation. Shape: ``[B, T]``."""
        ...

    def step(self, gradient: Tensor, clean: Audio) -> Tensor:
        """Steepest ascent direction of unit norm; zero where the gradient is. Shape: ``[B, T]``."""
        ...

    def random(self, clean: Audio, draws: Draws) -> Tensor:
        """A random allowed perturbation, to start from. Shape: ``[B, T]``."""
        ...


class _Euclidean:
    """The geometry of the l2 ball."""

    def radius(self, clean: Audio) -> Tensor:
        raise NotImplementedError

    def norm(self, delta: Tensor) -> Tensor:
        """Euclidean norm. Shape: ``[B, T]`` -> ``[B]``."""
        return delta.square().sum(1).sqrt()

    def project(self, delta: Tensor, clean: Audio) -> Tensor:
        """Scale down what is outside the ball. Shape: ``[B, T]``."""
        factor = self.radius(clean) / self.norm(delta).clamp(min=TINY)
        return delta * factor.clamp(max=1.0)[:, None]

    def step(self, gradient: Tensor, clean: Audio) -> Tensor:
        """The gradient over its norm. Shape: ``[B, T]``."""
        # Squares of a tiny one would underflow. Any other stays as it is, to the bit.
        largest = gradient.abs().amax(1, keepdim=True)
        tiny = largest < FAINT
        gradient = torch.where(tiny, gradient / largest.clamp(min=TINY), gradient)
        return gradient / self.norm(gradient).clamp(min=TINY)[:, None]

    def random(self, clean: Audio, draws: Draws) -> Tensor:
        """A uniform direction at a uniform share of the radius. Shape: ``[B, T]``."""
        direction = self.step(draws.normal(clean.wav) * clean.mask, clean)
        return direction * draws.uniform(clean.wav[:, :1]) * self.radius(clean)[:, None]


class _Box:
    """The geometry of the linf ball."""

    def radius(self, clean: Audio) -> Tensor:
        raise NotImplementedError

    def norm(self, delta: Tensor) -> Tensor:
        """Largest absolute sample. Shape: ``[B, T]`` -> ``[B]``."""
        return delta.abs().amax(1)

    def project(self, delta: Tensor, clean: Audio) -> Tensor:
        """Clamp. Shape: ``[B, T]``."""
        radius = self.radius(clean)[:, None]
        return torch.clamp(delta, -radius, radius)

    def step(self, gradient: Tensor, clean: Audio) -> Tensor:
        """The sign. Shape: ``[B, T]``."""
        return gradient.sign()

    def random(self, clean: Audio, draws: Draws) -> Tensor:
        """Uniform in the box. Shape: ``[B, T]``."""
        return (2 * draws.uniform(clean.wav) - 1) * clean.mask * self.radius(clean)[:, None]


@dataclass(frozen=True)
class _Fixed:
    """The same radius for every utterance."""

    eps: float

    def __post_init__(self) -> None:
        if not 0 <= self.eps < math.inf:
            raise ValueError(f"eps must be finite and not negative, got {self.eps}")

    def radius(self, clean: Audio) -> Tensor:
        """``eps`` for every utterance. Shape: ``[B]``."""
        return torch.full_like(clean.wav[:, 0], self.eps)


@dataclass(frozen=True)
class _Relative:
    """A radius that follows each utterance's level."""

    db: float

    def __post_init__(self) -> None:
        check_db("db", self.db)


class Linf(_Fixed, _Box):
    """No sample changes by more than ``eps`` (of full scale 1)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.eps > 1:
            raise ValueError(
                f"eps={self.eps:g} for linf: full scale is 1; {self.eps:g} of the 32768 steps of a "
                f"16-bit file are eps={self.eps / PCM16:.3g}"
            )


class LinfSNR(_Relative, _Box):
    """No sample changes by more than a limit relative to the level: a change of all samples by this
    limit has a signal-to-noise ratio of ``db`` dB. So a quiet corpus gets the same attack as a loud
    one."""

    def radius(self, clean: Audio) -> Tensor:
        """``rms(x) * 10^(-db / 20)``; 0 at silence. Shape: ``[B]``."""
        silent = clean.centred.abs().amax(1) == 0
        return (clean.rms * 10 ** (-self.db / 20)).masked_fill(silent, 0.0)


class L2(_Fixed, _Euclidean):
    """The perturbation's Euclidean norm is at most ``eps``, whatever the utterance's length."""


class SNR(_Relative, _Euclidean):
    """The signal-to-noise ratio over the true length is at least ``db``; silence stays silent."""

    def radius(self, clean: Audio) -> Tensor:
        """``||x - mean(x)||_2 * 10^(-db / 20)``. Shape: ``[B]``."""
        return self.norm(clean.centred) * 10 ** (-self.db / 20)


def budget(
    norm: Literal["linf", "l2", "snr"], eps: float | None, db: float | None, ratio: float | None
) -> Budget:
    """The budget that an attack's options name: ``eps`` for l2; ``eps`` or ``db`` for linf; ``db``,
    or ``ratio`` (a linear power ratio, as in Armory), for snr."""
    options = {k: v for k, v in {"eps": eps, "db": db, "ratio": ratio}.items() if v is not None}
    allowed = {"linf": "eps or db (dB)", "l2": "eps", "snr": "db (dB) or ratio (of powers)"}[norm]
    if len(options) != 1 or not set(options) <= set(allowed.split()):
        raise ValueError(f"norm={norm} takes {allowed}; got {', '.join(options) or 'none'}")
    if eps is not None:
        return Linf(eps) if norm == "linf" else L2(eps)
    if ratio is not None:
        if not ratio > 0:
            raise ValueError(f"ratio must be positive, got {ratio}")
        return SNR(10 * math.log10(ratio))
    assert db is not None
    return LinfSNR(db) if norm == "linf" else SNR(db)


def within_scale(delta: Tensor, clean: Tensor) -> Tensor:
    """Clip ``clean + delta`` to full scale; a file that is already louder keeps its own peaks."""
    return torch.clamp(clean + delta, clean.clamp(max=-1.0), clean.clamp(min=1.0)) - clean


def _shrunk(delta: Tensor, radius: Tensor, budget: Budget) -> Tensor:
    """``delta`` in 16-bit steps, scaled by the largest tested factors that keep it within
    ``radius``."""
    best = torch.trunc(delta * PCM16) / PCM16
    low, high = torch.zeros_like(radius), torch.ones_like(radius)
    for _ in range(12):
        middle = (low + high) / 2
        tried = torch.round(middle[:, None] * delta * PCM16) / PCM16
        inside = budget.norm(tried) <= radius
        better = inside & (budget.norm(tried) > budget.norm(best))
        best = torch.where(better[:, None], tried, best)
        low, high = torch.where(inside, middle, low), torch.where(inside, high, middle)
    return best


def to_pcm16(delta: Tensor, clean: Audio, budget: Budget) -> Audio:
    """``clean + delta`` on the grid of a 16-bit file, still within the budget.

    ``clean`` is already on the grid. Rounding can push a norm slightly over its limit. Such an
    utterance is first shrunk a little, then by the least factor that bisection finds (if a sample
    changes by about one step, rounding decides). The last resort is rounding towards zero.

    Shape: ``[B, T]``.
    """
    radius = budget.radius(clean)
    rounded = torch.round(delta * PCM16) / PCM16
    for shrink in (0.9999, 0.999, 0.99, 0.97):
        outside = budget.norm(rounded) > radius
        if not outside.any():
            break
        rounded[outside] = torch.round(shrink * delta[outside] * PCM16) / PCM16
    outside = budget.norm(rounded) > radius
    if outside.any():
        rounded[outside] = _shrunk(delta, radius, budget)[outside]
    return clean.with_wav(clean.wav + rounded).quantized()

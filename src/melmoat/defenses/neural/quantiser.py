"""Residual vector quantisation, with a gradient for attackers.

A residual quantiser (Zeghidour et al. 2021, SoundStream, section III-C) replaces a vector by the
nearest vector of a codebook, what is left by the nearest one of the next codebook, and so on. The
result is the sum. It is constant around almost every input, so its exact gradient is zero. Here
the forward pass always has the exact code vectors, and the backward pass has a stand-in:

- straight-through (van den Oord et al. 2017, section 3.2): each code vector counts as its input;
- soft (Agustsson et al. 2017, section 3.2): each code vector counts as the mean of all of them,
  weighted by a softmax over negative squared distances.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 1e-3  # norm below which a latent has no direction: dividing by less explodes at silence


@dataclass(frozen=True)
class Step:
    """One codebook.

    Args:
        codes: its code vectors. Shape: ``[K, D]``.
        nearest: the codes of vectors, as the codec's own library chooses them. ``[N, D]`` ->
            ``[N]``.
        into: from the residual to the codebook's dimensions, ``[1, H, F]`` -> ``[1, D, F]``.
        out: back, ``[1, D, F]`` -> ``[1, H, F]``.
        directions: whether vectors are compared by direction only (DAC).
    """

    codes: Tensor
    nearest: Callable[[Tensor], Tensor]
    into: nn.Module
    out: nn.Module
    directions: bool = False

    def distances(self, vectors: Tensor) -> Tensor:
        """Squared distances to the code vectors. Shape: ``[N, D]`` -> ``[N, K]``."""
        codes = self.codes
        if self.directions:
            vectors, codes = F.normalize(vectors, eps=SMALLEST), F.normalize(codes)
        size = vectors.square().sum(1, keepdim=True)
        return size - 2 * vectors @ codes.T + codes.square().sum(1)


@dataclass(frozen=True)
class Chain:
    """Codebooks of which each quantises what the ones before it leave.

    Args:
        into: from the encoder's output to the first residual.
        out: from the sum of the code vectors to the decoder's input.
    """

    steps: Sequence[Step]
    into: nn.Module
    out: nn.Module


StandIn = Callable[[Step, Tensor], Tensor]


def straight(step: Step, vectors: Tensor) -> Tensor:
    """The vectors themselves. Shape: ``[N, D]`` -> ``[N, D]``."""
    return vectors


@dataclass(frozen=True)
class Soft:
    """The mean of the code vectors, weighted by nearness: ``softmax(-distance / scale) @ codes``.

    Args:
        temperature: the scale, in standard deviations of a vector's squared distances to the code
            vectors. So one value suits codebooks of any size. Lower is nearer to the hard code.
    """

    temperature: float

    def __post_init__(self) -> None:
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature must be above 0, got {self.temperature}")

    def __call__(self, step: Step, vectors: Tensor) -> Tensor:
        """Shape: ``[N, D]`` -> ``[N, D]``."""
        distances = step.distances(vectors)
        spread = distances.detach().std(1, correction=0, keepdim=True)
        scale = self.temperature * spread.clamp(min=torch.finfo(spread.dtype).eps)
        return (-distances / scale).softmax(1) @ step.codes


def quantised(latents: Tensor, chains: Sequence[Chain], stand_in: StandIn) -> Tensor:
    """The sum of what the chains make of the encoder's output.

    Args:
        latents: of one utterance. Shape: ``[1, H, F]``.
        stand_in: what each code vector counts as in the backward pass.

    Shape: ``[1, H, F]``.
    """
    total = torch.zeros_like(latents)
    for chain in chains:
        residual = chain.into(latents)
        found = torch.zeros_like(residual)
        for step in chain.steps:
            coded = _coded(step, residual, stand_in)
            found, residual = found + coded, residual - coded
        total = total + chain.out(found)
    return total


def _coded(step: Step, residual: Tensor, stand_in: StandIn) -> Tensor:
    vectors = step.into(residual)[0].T
    coded = step.codes[step.nearest(vectors.detach())]
    if vectors.requires_grad:
        like = stand_in(step, vectors)
        coded = coded + (like - like.detach())  # adds an exact zero: the codes stay as they are
    out: Tensor = step.out(coded.T[None])
    return out

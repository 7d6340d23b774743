"""Looks at the live system before anything is attacked.

A gradient that is zero, vanishes, explodes or leads nowhere, and randomness that nobody declared,
make any gradient attack weak and the system look robust. Some utterances show this in a minute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.draws import Draws, derive
from melmoat.models.base import Recognizer

TINY, HUGE = 1e-6, 1e6  # of the gradient without the defense
PROBES_DB = (100.0, 80.0, 60.0)  # size of the steps along the gradient
FOLLOWED = 0.1  # a useful gradient brings this share of the change that it predicts, or more
CLOSE = 1e-3  # relative difference of losses that float rounding explains
EQUAL = 1e-6  # the same where the same operations are done
FAINT = 1e-3  # nats; the loss of speech that is understood without doubt is that small


@dataclass(frozen=True)
class Probe:
    """What was found.

    Attributes:
        stochastic: whether the loss changes with the draws.
        repeatable: whether the same draws give the same loss.
        same: whether a pass for a gradient and one without have the same loss.
        gradient: norm of the gradient over that of the recognizer alone; None if no gradient
            reaches the waveform, or it is not finite.
        followed: change of the loss along the gradient over what it predicts, at the step length
            where this is nearest to 1; None where there is no gradient.
    """

    stochastic: bool
    repeatable: bool
    same: bool
    gradient: float | None
    followed: float | None


def probe(system: Recognizer, alone: Recognizer, audio: Audio, texts: Sequence[str]) -> Probe:
    """Look at ``system`` on some utterances.

    Args:
        alone: the recognizer without its defense.
        texts: what is said, as it would be written.
    """

    def draws(label: str) -> Draws:
        return Draws(derive("probe", label, i) for i in range(len(audio)))

    def loss(label: str, wav: Tensor = audio.wav) -> Tensor:
        return system.loss(audio.with_wav(wav), texts, draws(label))

    with torch.random.fork_rng(devices=[]), torch.no_grad():
        first, again, other = loss("a"), loss("a"), loss("b")
    slope, felt = _gradient(system, audio, texts, draws("a"))
    bare, _ = _gradient(alone, audio, texts, draws("a"))
    return Probe(
        stochastic=_apart(first, other, FAINT) > EQUAL + 10 * _apart(first, again, FAINT),
        repeatable=_apart(first, again) <= CLOSE,
        same=felt is None or _apart(first, felt) <= CLOSE,
        gradient=_ratio(slope, bare),
        followed=None if slope is None or not slope.any() else _followed(slope, audio, loss),
    )


def _gradient(
    model: Recognizer, audio: Audio, texts: Sequence[str], draws: Draws
) -> tuple[Tensor | None, Tensor | None]:
    """The gradient at each sample, and the loss; None where there is none."""
    wav = audio.wav.detach().clone().requires_grad_(True)
    loss = model.loss(Audio(wav, audio.lengths, audio.rate), texts, draws)
    if not loss.requires_grad:
        return None, loss
    (slope,) = torch.autograd.grad(loss.sum(), wav, allow_unused=True)
    return slope, loss.detach()


def _ratio(slope: Tensor | None, bare: Tensor | None) -> float | None:
    if slope is None or not torch.isfinite(slope).all():
        return None
    own = float(slope.double().norm())
    alone = float(bare.double().norm()) if bare is not None else math.nan
    return own / alone if alone > 0 else own


def _followed(slope: Tensor, audio: Audio, loss: Callable[[str, Tensor], Tensor]) -> float:
    """Measured over predicted change of the loss along the gradient, the median over utterances,
    at the best step length."""
    size = slope.double().norm(dim=1).clamp(min=1e-300)
    direction = (slope.double() / size[:, None]).to(slope.dtype)
    found = []
    for db in PROBES_DB:
        step = audio.centred.norm(dim=1) * 10 ** (-db / 20)
        move = direction * step[:, None]
        with torch.no_grad():
            change = (loss("a", audio.wav + move) - loss("a", audio.wav - move)).double()
        found.append(float((change / (2 * step.double() * size)).nanmedian()))
    usable = [ratio for ratio in found if 0 < ratio < math.inf]
    return min(usable, key=lambda ratio: abs(math.log(ratio)), default=0.0)


def _apart(one: Tensor, other: Tensor, least: float = 0.1) -> float:
    """Largest difference of two losses, as a share of the loss or of ``least`` nats."""
    size = one.double().abs().max().clamp(min=least)
    return float(((one - other).double().abs() / size).max())

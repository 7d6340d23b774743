"""Losses have the values that can be worked out by hand, and finite gradients at silence."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from melmoat.vocoders.losses import (
    discriminator_loss,
    feature_matching,
    generator_loss,
    mel_loss,
    stft_loss,
)
from melmoat.vocoders.mel import LAB_MEL


def noise(*shape: int) -> Tensor:
    return 0.3 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_equal_signals_lose_nothing() -> None:
    wave = noise(2, 4_000)
    assert stft_loss(wave, wave) == 0
    assert mel_loss(LAB_MEL, wave, wave) == 0


def test_twice_the_amplitude() -> None:
    wave = noise(2, 4_000)
    # Its spectral distance is the whole of the true one, and log 2 in every bin.
    assert float(stft_loss(2 * wave, wave)) == pytest.approx(1 + math.log(2), rel=1e-3)
    # Half: half of the true one.
    assert float(stft_loss(wave, 2 * wave)) == pytest.approx(0.5 + math.log(2), rel=1e-3)


@pytest.mark.parametrize("log", ["10", "e"])
def test_mel_loss_is_in_nats_whatever_the_logarithm(log: str) -> None:
    wave = noise(2, 4_000)
    spec = replace(LAB_MEL, log=log)  # type: ignore[arg-type]
    assert float(mel_loss(spec, 3 * wave, wave)) == pytest.approx(math.log(3), rel=1e-4)


def test_each_resolution_counts_the_same() -> None:
    made, real = noise(2, 4_000), noise(2, 4_000).flip(1)
    resolutions = ((256, 64, 256), (512, 50, 240))
    alone = [float(stft_loss(made, real, [r])) for r in resolutions]
    assert float(stft_loss(made, real, resolutions)) == pytest.approx(sum(alone) / 2)


def features(*scores: float) -> list[list[Tensor]]:
    """One scale a score, with two hidden layers of tens and hundreds of it."""
    return [[torch.full((3,), 10 * s), torch.full((2, 2), 100 * s), torch.tensor([s])]
            for s in scores]  # fmt: skip


def test_adversarial_losses_by_hand() -> None:
    made, real = features(0.5, -3.0), features(2.0, 0.25)
    # hinge: max(0, 1 + made) = 1.5, 0 and max(0, 1 - real) = 0, 0.75
    assert float(discriminator_loss(made, real, "hinge")) == pytest.approx(0.75 + 0.375)
    assert float(generator_loss(made, "hinge")) == pytest.approx((-0.5 + 3.0) / 2)
    # lsgan: made^2 = 0.25, 9 and (real - 1)^2 = 1, 0.5625
    assert float(discriminator_loss(made, real, "lsgan")) == pytest.approx(4.625 + 0.78125)
    assert float(generator_loss(made, "lsgan")) == pytest.approx((0.25 + 16) / 2)


def test_feature_matching_by_hand_leaves_out_the_score_and_teaches_only_the_generator() -> None:
    made, real = features(1.0, 2.0), features(3.0, 2.5)
    for scale in (*made, *real):
        for layer in scale:
            layer.requires_grad_()
    loss = feature_matching(made, real)
    # layers of the first scale differ by 20 and 200, of the second by 5 and 50
    assert loss.item() == pytest.approx((20 + 200 + 5 + 50) / 4)
    loss.backward()
    assert all(layer.grad is not None for scale in made for layer in scale[:-1])
    assert all(layer.grad is None for scale in real for layer in scale)
    assert made[0][-1].grad is None


@pytest.mark.parametrize("quiet", ["made", "real", "both"])
def test_gradients_at_silence_are_finite(quiet: str) -> None:
    made = torch.zeros(1, 4_000) if quiet != "real" else noise(1, 4_000)
    real = torch.zeros(1, 4_000) if quiet != "made" else noise(1, 4_000)
    made.requires_grad_()
    loss = stft_loss(made, real) + mel_loss(LAB_MEL, made, real)
    (gradient,) = torch.autograd.grad(loss, made)
    assert torch.isfinite(loss)
    assert torch.isfinite(gradient).all()
    assert gradient.ne(0).any() == (quiet == "real")

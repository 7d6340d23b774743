"""The generator computes in another order than published; the sums are the published ones."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat.vocoders import ParallelWaveGAN
from tests.vocoders.small import BANDS, noise_for, normal, small


def as_published(vocoder: ParallelWaveGAN, mel: Tensor, noise: Tensor) -> Tensor:
    """The network as its paper draws it: the mel is stretched, then every layer hears it."""
    weights, config = dict(vocoder.named_parameters()), vocoder.config

    def conv(name: str, x: Tensor, dilation: int = 1) -> Tensor:
        weight = weights[f"{name}.weight"]
        padding = (weight.shape[2] - 1) // 2 * dilation
        return F.conv1d(x, weight, weights.get(f"{name}.bias"), padding=padding, dilation=dilation)

    c = F.pad(mel, (config.context, config.context), mode="replicate")
    c = F.conv1d(c, weights["stretch.conv_in.weight"])
    for i, scale in enumerate(config.scales):
        c = c.repeat_interleave(scale, dim=-1)[:, None]
        c = F.conv2d(c, weights[f"stretch.filters.{i}.weight"], padding=(0, scale))[:, 0]
    x = conv("first", noise.view(len(noise), -1, config.fold).mT)
    total = torch.zeros_like(x[:, :1])
    for i in range(config.layers):
        dilation = 2 ** (i % (config.layers // config.stacks))
        y = conv(f"blocks.{i}.conv", x, dilation) + conv(f"blocks.{i}.aux", c)
        a, b = y.chunk(2, dim=1)
        gated = torch.tanh(a) * torch.sigmoid(b)
        total = total + conv(f"blocks.{i}.skip", gated)
        x = (conv(f"blocks.{i}.out", gated) + x) * math.sqrt(0.5)
    x = conv("last.1", (total * math.sqrt(1 / config.layers)).relu())
    return conv("last.3", x.relu()).mT.flatten(1)


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 8, 9, 10, 11, 20])
@pytest.mark.parametrize("name", ["pwg", "pwg-wide", "pwg-folded"])
def test_values_and_gradients_are_the_published_ones(name: str, frames: int, frozen: bool) -> None:
    vocoder = small(name).double().requires_grad_(not frozen)
    assert isinstance(vocoder, ParallelWaveGAN)
    mel = normal(2, BANDS, frames).requires_grad_()
    noise = noise_for(vocoder, mel)
    assert noise is not None
    expected = as_published(vocoder, mel, noise)
    found = vocoder(mel, noise)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)
    weight = normal(*expected.shape)
    wanted = [mel, *(p for p in vocoder.parameters() if p.requires_grad)]
    for a, b in zip(
        torch.autograd.grad((found * weight).sum(), wanted, materialize_grads=True),
        torch.autograd.grad((expected * weight).sum(), wanted, materialize_grads=True),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-12)

"""Discriminators have the published sizes, rates and fields of view."""

import pytest
import torch

from melmoat.vocoders.discriminators import (
    MelGANDiscriminator,
    MelGANDiscriminatorConfig,
    ParallelWaveGANDiscriminator,
    ParallelWaveGANDiscriminatorConfig,
    mean,
    scores,
)
from tests.vocoders.small import normal, with_gains

SMALL = MelGANDiscriminatorConfig(scales=2, channels=4, most=16)


def test_published_parameter_counts() -> None:
    with torch.device("meta"):
        assert with_gains(MelGANDiscriminator()) == 16_924_086
        assert with_gains(ParallelWaveGANDiscriminator()) == 99_842


def test_melgan_halves_the_rate_from_scale_to_scale() -> None:
    with torch.device("meta"):
        found = MelGANDiscriminator()(torch.zeros(2, 8_192))
    channels, rates = (16, 64, 256, 1024, 1024, 1024, 1), (1, 4, 16, 64, 256, 256, 256)
    assert [[f.shape for f in scale] for scale in found] == [
        [(2, c, samples // rate) for c, rate in zip(channels, rates, strict=True)]
        for samples in (8_192, 4_096, 2_048)
    ]


def test_the_second_scale_does_not_hear_what_averaging_removes() -> None:
    network = MelGANDiscriminator(SMALL).double()
    wave, buzz = normal(1, 1_024), torch.ones(1_024).double()
    buzz[1::2] = -1  # half the sampling rate, of mean 0 over any 4 samples
    before, after = network(wave), network(wave + buzz)
    for scale, heard in ((0, True), (1, False)):
        a, b = (found[scale][0][..., 16:-16] for found in (before, after))  # away from the ends
        assert torch.allclose(a, b) != heard


def test_parallel_wavegan_keeps_the_rate_and_sees_38_samples_each_way() -> None:
    torch.manual_seed(0)
    network = ParallelWaveGANDiscriminator(ParallelWaveGANDiscriminatorConfig(channels=3)).double()
    wave = normal(1, 200)
    (before,) = network(wave)
    assert [f.shape for f in before] == [(1, 3, 200)] * 9 + [(1, 1, 200)]
    wave[0, 100] += 1
    (after,) = network(wave)
    heard = after[-1].ne(before[-1])[0, 0].nonzero()[:, 0]
    assert (int(heard.min()), int(heard.max())) == (100 - 38, 100 + 38)


@pytest.mark.parametrize("network", [MelGANDiscriminator(SMALL), ParallelWaveGANDiscriminator()])
def test_every_weight_learns(network: torch.nn.Module) -> None:
    found = network(0.1 * normal(2, 1_024).float())
    mean([s.square().mean() for s in scores(found)]).backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and p.grad.ne(0).any() for p in network.parameters())


def test_scores_are_the_last_layers() -> None:
    layers = [[torch.zeros(1), torch.ones(1)], [torch.zeros(1), torch.full((1,), 3.0)]]
    assert [float(s) for s in scores(layers)] == [1.0, 3.0]
    assert float(mean(scores(layers))) == 2.0

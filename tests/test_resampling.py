"""Rate conversion: exact lengths, a tone stays the tone, and a batch is its singles."""

import math

import pytest
import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.resampling import resample


def tone(hz: float, rate: int, length: int) -> Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(length) / rate)


@pytest.mark.parametrize(("old", "new"), [(16_000, 22_050), (22_050, 16_000), (16_000, 24_000)])
def test_a_tone_stays_the_tone(old: int, new: int) -> None:
    made = resample(Audio.of([tone(440, old, old)], old), new)
    assert made.rate == new
    assert made.lengths.tolist() == [new]
    inner = slice(new // 10, -new // 10)
    assert torch.allclose(made.wav[0, inner], tone(440, new, new)[inner], atol=2e-3)


@pytest.mark.parametrize("rate", [22_050, 24_000, 8_000])
def test_there_and_back_covers_every_sample(rate: int) -> None:
    audio = Audio.of([torch.ones(n) for n in (2, 317, 320, 4_001)])
    there = resample(audio, rate)
    assert there.lengths.tolist() == [math.ceil(n * rate / 16_000) for n in (2, 317, 320, 4_001)]
    assert (resample(there, 16_000).lengths >= audio.lengths).all()


def test_a_batch_equals_its_singles(ragged: Audio) -> None:
    made = resample(ragged, 22_050)
    assert made.wav[~made.mask].eq(0).all()
    for i, wave in enumerate(ragged):
        alone = resample(Audio.of([wave]), 22_050)
        assert torch.allclose(made.wav[i, : int(made.lengths[i])], alone.wav[0], atol=1e-6)


def test_the_gradient_is_exact() -> None:
    lengths = torch.tensor([30, 20])
    wav = torch.randn(2, 30, dtype=torch.float64)
    mask = Audio(wav, lengths).mask

    def through(x: Tensor) -> Tensor:
        return resample(Audio(x * mask, lengths, 8), 10).wav

    assert torch.autograd.gradcheck(through, wav.requires_grad_())


def test_the_same_rate_changes_nothing(ragged: Audio) -> None:
    assert resample(ragged, ragged.rate) is ragged

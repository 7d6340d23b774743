"""Noise stays on its grid, so that rounding is a function of the noisy input."""

import pytest
import torch

from melmoat.audio import Audio
from melmoat.certificates.noise import STEP, lost, noisy

KEYS = [3, 4, 2**127]


def test_it_is_white_gaussian_noise_of_sigma() -> None:
    drawn = noisy(torch.zeros(20_000), 0.02, KEYS).double() / 0.02
    assert drawn.mean().abs() < 0.02
    assert drawn.std() == pytest.approx(1, abs=0.01)
    assert (drawn.abs() > 2).double().mean() == pytest.approx(0.0455, abs=0.003)
    assert (drawn[0] * drawn[1]).mean().abs() < 0.02


def test_a_16_bit_file_and_its_noise_add_up_exactly() -> None:
    speech = Audio.of([0.5 * torch.sin(torch.arange(999.0))]).quantized().wav[0]
    alone = noisy(torch.zeros(999), 0.1, KEYS)
    together = noisy(speech, 0.1, KEYS)
    assert torch.equal(together.double() - speech.double(), alone.double())
    assert torch.equal(torch.round(alone / STEP) * STEP, alone)


def test_a_key_gives_its_noise_alone_and_nothing_is_clipped() -> None:
    wave = torch.full((50,), 0.99)
    assert torch.equal(noisy(wave, 1.0, KEYS)[1:], noisy(wave, 1.0, KEYS[1:]))
    assert noisy(wave, 1.0, KEYS).max() > 1.5


def test_rounding_moves_two_inputs_apart_by_no_more_than_it_says() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.rand(2, 4000, generator=generator, dtype=torch.float64)
    near = one + STEP * (other - 0.5)
    rounded = [noisy(wave, 1e-30, [0])[0].double() for wave in (one, near)]
    apart = (rounded[0] - rounded[1]).norm() - (one - near).norm()
    assert 0 < apart <= lost(4000)

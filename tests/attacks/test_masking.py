import math

import pytest
import torch
from torch import Tensor

from melmoat.attacks.masking import HOP, LOUDEST, WINDOW, Masking
from melmoat.audio import Audio

RATE = 16_000
BIN = RATE / WINDOW  # Hz
TONE = 128  # 1 kHz


def tone(number: float, height: float, length: int = 8 * WINDOW) -> Tensor:
    """A tone in the middle of bin ``number``: its power lies there and, a quarter each, beside."""
    return height * torch.sin(2 * math.pi * number / WINDOW * torch.arange(length).double())


def bark(hz: float) -> float:
    return 13 * math.atan(0.00076 * hz) + 3.5 * math.atan((hz / 7500) ** 2)


def quiet(hz: float) -> float:
    khz = hz / 1000
    return 3.64 * khz**-0.8 - 6.5 * math.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4


def db(power: Tensor) -> Tensor:
    return 10 * torch.log10(power)


@pytest.fixture
def masking() -> Masking:
    return Masking(Audio.of([tone(TONE, 0.5)]))


def test_an_offset_hides_nothing() -> None:
    wave, other = tone(TONE, 0.01), tone(300, 0.001)
    plain, offset = (Masking(Audio.of([wave + dc])) for dc in (0.0, 0.3))
    assert torch.allclose(offset.threshold, plain.threshold, rtol=1e-6)
    assert torch.allclose(offset.level(other[None]), plain.level(other[None]), rtol=1e-6)


MIDDLE = 4 * WINDOW // HOP  # a frame that the whole tone fills


def test_the_loudest_bin_is_at_96_db_and_a_tones_level_follows_its_height(
    masking: Masking,
) -> None:
    assert float(db(masking.level(tone(TONE, 0.5)[None])[0, TONE, MIDDLE])) == pytest.approx(
        LOUDEST
    )
    weak = db(masking.level(tone(300, 0.005)[None])[0, :, MIDDLE])
    assert float(weak[300]) == pytest.approx(LOUDEST - 40, abs=1e-4)
    assert float(weak[301]) == pytest.approx(LOUDEST - 40 - 6.0206, abs=1e-3)


@pytest.mark.parametrize("number", [20, 64, 110, 128, 140, 170, 256, 700])
def test_the_threshold_beside_a_tone_is_the_models(number: int, masking: Masking) -> None:
    hz, place = number * BIN, bark(TONE * BIN)
    height = LOUDEST + 10 * math.log10(1.5)  # three bins: 1 + 1/4 + 1/4
    apart = bark(hz) - place
    slope = 27 if apart < 0 else -27 + 0.37 * (height - 40)
    masked = height - 6.025 - 0.275 * place + slope * apart
    expected = 10 * math.log10(10 ** (masked / 10) + 10 ** (quiet(hz) / 10))
    assert float(db(masking.threshold[0, number, MIDDLE])) == pytest.approx(expected, abs=1e-3)


def test_a_tone_masks_its_neighbours_and_not_far_bands(masking: Masking) -> None:
    def at(hz: float) -> float:
        return float(db(masking.threshold[0, round(hz / BIN), MIDDLE])) - quiet(hz)

    assert at(937.5) > 60
    assert at(1250.0) > 60
    assert at(203.125) == pytest.approx(0, abs=0.01)
    assert at(1250.0) > at(4000.0) > 0  # upwards it reaches far
    beside, far = tone(TONE + 12, 0.01)[None], tone(30, 0.01)[None]
    assert float(masking.excess(beside)) < 1e-3 * float(masking.excess(far))
    assert float(masking.audible(beside)) < 0.01
    assert float(masking.audible(far)) > 0.99


def test_the_weaker_of_two_near_tones_masks_nothing() -> None:
    both = Masking(Audio.of([tone(TONE, 0.5) + tone(TONE + 4, 0.05)]))  # 0.2 Bark apart
    alone = Masking(Audio.of([tone(TONE, 0.5)]))
    here, there = (one.threshold[0, :, MIDDLE] for one in (both, alone))
    assert torch.allclose(here, there, rtol=1e-2)
    apart = Masking(Audio.of([tone(TONE, 0.5) + tone(400, 0.05)]))
    assert float((apart.threshold / alone.threshold)[0, 395, MIDDLE]) > 10


def test_a_batch_equals_its_singles(ragged: Audio) -> None:
    clean = Audio(ragged.wav.double(), ragged.lengths)
    delta = 0.01 * torch.randn(clean.wav.shape, dtype=torch.double) * clean.mask
    whole = Masking(clean)
    for i, wave in enumerate(clean):
        alone, part = Masking(Audio.of([wave])), delta[i : i + 1, : len(wave)]
        frames = alone.threshold.shape[2]
        assert torch.allclose(whole.threshold[i, :, :frames], alone.threshold[0])
        assert torch.allclose(whole.excess(delta)[i], alone.excess(part)[0])
        assert torch.allclose(whole.audible(delta)[i], alone.audible(part)[0])


def test_the_gradient_of_the_excess_is_exact_and_finite_at_nothing(ragged: Audio) -> None:
    clean = Audio.of([ragged.wav[0, :600].double()])
    masking = Masking(clean)
    chance = torch.Generator().manual_seed(0)  # a threshold is a kink: not just any numbers
    delta = 0.01 * torch.randn(1, 600, dtype=torch.double, generator=chance)
    delta.requires_grad_()
    assert torch.autograd.gradcheck(lambda d: masking.excess(d) / 1e6, (delta,))
    nothing = torch.zeros(1, 600, dtype=torch.double, requires_grad=True)
    masking.excess(nothing).sum().backward()
    assert nothing.grad is not None
    assert nothing.grad.eq(0).all()


def test_silence_hides_nothing() -> None:
    masking = Masking(Audio.of([torch.zeros(5_000)]))
    assert torch.isfinite(masking.threshold).all()
    assert float(masking.audible(0.01 * torch.randn(1, 5_000))) > 0.99
    assert float(masking.audible(torch.zeros(1, 5_000))) == 0

"""The loudest window: what it is, and that nothing around the speech lowers it."""

import math

import pytest
import torch
from torch import Tensor

from melmoat.audio import Audio
from melmoat.levels import loudest

RATE = 1_000  # a window is 400 samples
TONE = 0.2 * torch.sin(2 * torch.pi * 50 / RATE * torch.arange(2_000).double())


def level(wave: Tensor) -> float:
    return float(loudest(Audio.of([wave], RATE)))


def noise(length: int, size: float, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return size * torch.randn(length, generator=generator, dtype=torch.float64)


def test_of_a_steady_tone_it_is_the_root_mean_square() -> None:
    assert level(TONE) == pytest.approx(0.2 / math.sqrt(2), rel=1e-9)


@pytest.mark.parametrize("length", [3, 150, 400, 401, 1_234])
def test_it_is_the_largest_of_all_windows(length: int) -> None:
    wave = noise(length, 0.1) * torch.linspace(0, 1, length).sin() + 0.3
    windows = wave.unfold(0, min(400, length), 1)
    sums = (windows - windows.mean(1, keepdim=True)).square().sum(1)
    assert level(wave) == pytest.approx(math.sqrt(float(sums.max()) / 400), rel=1e-9)


def test_half_a_window_has_the_level_that_it_has_in_silence() -> None:
    half = TONE[:200]
    assert level(half) == pytest.approx(0.2 / 2, rel=1e-9)  # 3 dB less than a whole one
    silence = torch.zeros(700, dtype=torch.float64)
    assert level(torch.cat([silence, half, silence])) == pytest.approx(0.1, rel=1e-9)


AROUND = {
    "nothing": torch.zeros(0, dtype=torch.float64),
    "a little silence": torch.zeros(130, dtype=torch.float64),
    "much silence": torch.zeros(20_000, dtype=torch.float64),
    "noise at -60 dB": noise(5_000, 0.001, 1),
    "a murmur that P.56 takes for speech": noise(20_000, 0.16 * 0.15, 2),
    "as loud": noise(3_000, 0.1, 3),
    "a burst": torch.cat([noise(50, 3.0, 4), torch.zeros(900)]),
    "an offset": torch.full((3_000,), -0.4, dtype=torch.float64),
}


@pytest.mark.parametrize("before", AROUND)
@pytest.mark.parametrize("behind", AROUND)
@pytest.mark.parametrize("length", [1, 90, 399, 1_500])
def test_nothing_around_the_speech_lowers_it(before: str, behind: str, length: int) -> None:
    speech = noise(length, 0.2, 5) * torch.sin(torch.arange(length) / 200).abs() + 0.05
    found = level(torch.cat([AROUND[before], speech, AROUND[behind]]))
    assert found >= level(speech) * (1 - 1e-9)


def test_a_mean_is_no_part_of_it() -> None:
    assert level(TONE + 0.7) == pytest.approx(level(TONE), rel=1e-9)
    assert level(TONE[:90] - 0.7) == pytest.approx(level(TONE[:90]), rel=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.3])
@pytest.mark.parametrize("length", [1, 2, 1_000])
def test_what_makes_no_sound_has_no_level_and_no_gradient(value: float, length: int) -> None:
    wav = torch.full((1, length), value, requires_grad=True)
    found = loudest(Audio(wav, torch.tensor([length]), RATE))
    found.sum().backward()
    assert found.item() == 0
    assert wav.grad is not None
    assert wav.grad.eq(0).all()


def test_a_batch_equals_its_singles_whatever_the_padding() -> None:
    waves = [noise(length, 0.1, length) + 0.2 for length in (1, 50, 400, 3_000)]
    batch = Audio.of(waves, RATE)
    more = Audio(torch.nn.functional.pad(batch.wav, (0, 555)), batch.lengths, RATE)
    alone = torch.tensor([level(wave) for wave in waves], dtype=torch.float64)
    assert torch.allclose(loudest(batch), alone, rtol=1e-9, atol=0)
    assert torch.allclose(loudest(more), alone, rtol=1e-9, atol=0)


@pytest.mark.parametrize("lengths", [[60, 13], [20, 45]])  # windows are of 20 samples at 50 Hz
def test_its_gradient_is_exact(lengths: list[int]) -> None:
    waves = [noise(length, 1.0, length) for length in lengths]
    audio = Audio.of(waves, 50)

    def through(wav: Tensor) -> Tensor:
        return loudest(Audio(wav * audio.mask, audio.lengths, 50))

    assert torch.autograd.gradcheck(through, audio.wav.requires_grad_())

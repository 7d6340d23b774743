import pytest
import torch

from melmoat import attacks
from melmoat.attacks.kenansville import weakest
from melmoat.spec import SpecError


@pytest.mark.parametrize("length", [1600, 1601])
def test_of_two_tones_the_weaker_goes_if_it_fits(length: int) -> None:
    t = torch.arange(length, dtype=torch.float64)
    strong = 0.5 * torch.sin(2 * torch.pi * 40 / length * t)
    weak = 0.05 * torch.sin(2 * torch.pi * 300 / length * t + 1)  # 20.04 dB below both together
    assert torch.allclose(weakest(strong + weak, 10**-2.0), weak, atol=1e-9)
    assert weakest(strong + weak, 10**-2.1).abs().max() < 1e-9


def test_the_nyquist_bin_counts_once() -> None:
    t = torch.arange(1000, dtype=torch.float64)
    tone = torch.sin(2 * torch.pi * 0.1 * t)  # power 0.5
    nyquist = 0.1 * (1 - 2 * (t % 2))  # power 0.01
    assert torch.allclose(weakest(tone + nyquist, 0.0197), nyquist, atol=1e-9)  # 0.01 / 0.51
    assert weakest(tone + nyquist, 0.0195).abs().max() < 1e-9


@pytest.mark.parametrize("dc", [0.001, 3.0])
def test_an_offset_stays_and_is_no_power(dc: float) -> None:
    t = torch.arange(1600, dtype=torch.float64)
    strong = 0.5 * torch.sin(2 * torch.pi * 40 / 1600 * t)
    weak = 0.05 * torch.sin(2 * torch.pi * 300 / 1600 * t + 1)
    assert torch.allclose(weakest(strong + weak + dc, 10**-2.0), weak, atol=1e-9)
    assert weakest(strong + weak + dc, 10**-2.1).abs().max() < 1e-9


def test_it_cannot_aim() -> None:
    with pytest.raises(SpecError, match="cannot aim"):
        attacks.build("kenansville:target=HELP")

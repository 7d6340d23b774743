"""Linear prediction: the filter, its inverse, and the noise."""

import math

import pytest
import torch
import torch.nn.functional as F

from melmoat.audio import Audio
from melmoat.defenses import front_end
from melmoat.defenses.lpc import EMPHASIS, predictor, synthesise
from melmoat.draws import Draws
from melmoat.spec import SpecError

POLES = torch.tensor([[1.0, -1.4, 1.15, -0.63]], dtype=torch.float64)


def autoregressive(length: int) -> torch.Tensor:
    """White noise through ``1 / ((1 - 0.9 z^-1) (1 - 0.5 z^-1 + 0.7 z^-2))``."""
    torch.manual_seed(0)
    return synthesise(torch.randn(1, length, dtype=torch.float64), POLES)


def test_the_predictor_finds_the_filter_that_made_the_noise() -> None:
    made = autoregressive(40_000)
    filter_, error = predictor(made, 2)
    assert filter_[0].tolist() == pytest.approx(POLES[0].tolist(), abs=0.02)
    assert float(error) / 40_000 == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("order", "length"), [(1, 7), (3, 50), (30, 45)])
def test_synthesis_is_the_recursion_in_its_formula(order: int, length: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, length, dtype=torch.float64)
    filters = torch.randn(2, order + 1, dtype=torch.float64) / order
    filters[:, 0] = 1
    y = torch.zeros(2, order + length, dtype=torch.float64)
    for t in range(length):
        before = y[:, t : order + t].flip(1)
        y[:, order + t] = x[:, t] - (filters[:, 1:] * before).sum(1)
    assert torch.allclose(synthesise(x, filters), y[:, order:])


def test_no_filter_of_its_order_predicts_a_frame_better() -> None:
    frame = autoregressive(400) * torch.hann_window(400, dtype=torch.float64)
    filter_, error = predictor(frame, 3)

    def energy(change: list[float]) -> float:
        other = filter_[0] + torch.tensor([0.0, *change, 0.0], dtype=torch.float64)
        other[1:] -= EMPHASIS * torch.tensor([0.0, *change], dtype=torch.float64)
        whole = F.conv1d(F.pad(frame, (4, 4))[None], other.flip(0)[None, None])
        return float(whole.square().sum())

    best = energy([0, 0, 0])
    assert best == pytest.approx(float(error), rel=0.01)
    assert all(energy(c) > best for c in ([0.05, 0, 0], [0, -0.05, 0], [0, 0, 0.05]))


def test_the_gradient_of_the_recursion_is_exact() -> None:
    torch.manual_seed(0)
    frames = torch.randn(2, 3, 12, dtype=torch.float64, requires_grad=True)
    filters = 0.3 * torch.randn(2, 3, 4, dtype=torch.float64)
    filters[..., 0] = 1
    last = filters[..., 1:].clone().requires_grad_()

    def through(x: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return synthesise(x, torch.cat([torch.ones_like(a[..., :1]), a], dim=-1))

    assert torch.autograd.gradcheck(through, (frames, last))


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_its_noise_has_the_power_and_the_spectrum_of_the_speech(noise: float) -> None:
    made = 0.05 * autoregressive(48_000).float()
    heard = front_end(f"lpc:noise={noise}")(Audio.of(list(made)), Draws([1])).wav
    level = 10 * math.log10(float(heard.square().mean() / made.square().mean()))
    assert abs(level) < 0.5
    powers = [
        torch.stft(w, 64, window=torch.hann_window(64), return_complex=True).abs().square().mean(2)
        for w in (made, heard)
    ]
    assert (10 * torch.log10(powers[1] / powers[0])).abs().max() < 2
    if noise == 1:  # and nothing of the speech itself
        assert torch.corrcoef(torch.cat([made, heard]))[0, 1].abs() < 0.02


@pytest.mark.parametrize(
    ("spec", "message"),
    [("lpc:order=0", "between 1 and 64"), ("lpc:noise=1.1", "between 0 and 1")],
)
def test_impossible_settings_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        front_end(spec)


def test_noise_is_what_makes_it_stochastic() -> None:
    assert front_end("lpc:noise=0.1").stochastic
    assert not front_end("lpc:noise=0").stochastic

"""Amplitudes on another scale."""

import math

import pytest
import torch

from melmoat.audio import Audio
from melmoat.defenses import front_end
from melmoat.draws import Draws
from melmoat.spec import SpecError


def through(spec: str, wave: torch.Tensor) -> torch.Tensor:
    return front_end(spec)(Audio.of([wave]), Draws([0])).wav[0]


def test_compression_is_a_power_above_its_knee_and_linear_below() -> None:
    wave = torch.tensor([1, -1, 0.25, -0.25, 1e-6, -1e-6], dtype=torch.float64)
    heard = through("compress:power=0.5", wave)
    assert heard[:4].tolist() == pytest.approx([1, -1, 0.5, -0.5], abs=1e-4)
    assert float(heard[4] / wave[4]) == pytest.approx(math.sqrt(1_000), rel=1e-3)


def test_an_offset_changes_nothing_in_what_is_compressed() -> None:
    torch.manual_seed(0)
    wave = 0.1 * torch.randn(500, dtype=torch.float64)
    moved = through("compress", wave + 0.3)
    assert torch.allclose(moved - 0.3, through("compress", wave), atol=1e-9)


def test_mu_law_has_so_many_levels_closer_where_it_is_quiet() -> None:
    levels = through("mulaw:bits=5", torch.linspace(-1, 1, 20_001, dtype=torch.float64)).unique()
    assert len(levels) == 2**5 - 1
    assert levels.abs().max() == pytest.approx(1)
    steps = levels[levels >= 0].diff()
    growth = steps[1:] / steps[:-1]
    assert torch.allclose(growth, torch.full_like(growth, 256 ** (1 / 15)))


def test_mu_law_rounds_to_the_nearest_level_of_its_curve() -> None:
    torch.manual_seed(0)
    wave = torch.rand(1_000, dtype=torch.float64) * 2 - 1

    def curve(x: torch.Tensor) -> torch.Tensor:
        return x.sign() * torch.log1p(255 * x.abs()) / math.log(256)

    off = curve(through("mulaw:bits=8", wave)) - curve(wave)
    assert 0.9 / 254 < off.abs().max() <= 1 / 254 + 1e-9


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("compress:power=0", "above 0"),
        ("compress:power=2", "at most at 1"),
        ("mulaw:bits=1", "between 2 and 16"),
    ],
)
def test_impossible_settings_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        front_end(spec)

"""What filters pass and remove."""

import math

import pytest
import torch

from melmoat.audio import Audio
from melmoat.defenses import front_end
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.spec import SpecError


def response(spec: str, size: int = 16_384) -> torch.Tensor:
    """Complex gain at each frequency, steps of 16 000 / ``size`` Hz: that of an impulse in the
    middle, whose delay is taken out."""
    impulse = torch.zeros(size, dtype=torch.float64)
    impulse[size // 2] = 1
    heard = front_end(spec)(Audio.of([impulse]), Draws([0])).wav[0]
    return torch.fft.rfft(heard.roll(-(size // 2)))


def at(gains: torch.Tensor, hertz: float) -> float:
    return float(gains.abs()[round(hertz * 16_384 / 16_000)])


@pytest.mark.parametrize(
    ("spec", "passed", "edges", "removed"),
    [
        ("filter:high=3000", (100, 1_500, 2_700), (3_000,), (3_300, 5_000, 8_000)),
        ("filter:low=300", (400, 1_500, 8_000), (300,), (50, 200)),
        ("filter:low=300,high=3400", (400, 1_500, 3_200), (300, 3_400), (50, 200, 3_600, 8_000)),
    ],
)
def test_a_filter_passes_its_band_and_has_half_the_amplitude_at_its_edges(
    spec: str, passed: tuple[int, ...], edges: tuple[int, ...], removed: tuple[int, ...]
) -> None:
    gains = response(spec)
    assert [at(gains, hz) for hz in passed] == pytest.approx([1] * len(passed), abs=0.01)
    assert [at(gains, hz) for hz in edges] == pytest.approx([0.5] * len(edges), abs=0.02)
    assert max(at(gains, hz) for hz in removed) < 0.01


def test_a_filter_has_no_delay_and_a_linear_phase() -> None:
    gains = response("filter:low=300,high=3400")
    assert gains.imag.abs().max() < 1e-3


def test_a_moving_average_has_its_response() -> None:
    gains = response("smooth:width=5")
    hz = torch.linspace(0, 8_000, len(gains), dtype=torch.float64)
    expected = (1 + 2 * sum(torch.cos(2 * math.pi * hz * k / 16_000) for k in (1, 2))) / 5
    assert torch.allclose(gains.real, expected, atol=1e-3)


@pytest.mark.parametrize(("spec", "kept"), [("filter:high=500", 0.25), ("filter:low=500", 0.0)])
def test_an_offset_is_kept_by_a_low_pass_and_removed_by_a_high_pass(spec: str, kept: float) -> None:
    torch.manual_seed(0)
    wave = 0.1 * torch.randn(3_000)
    plain, moved = (front_end(spec)(Audio.of([wave + dc]), Draws([0])).wav[0] for dc in (0.0, 0.25))
    assert torch.allclose(moved - plain, torch.tensor(kept), atol=1e-5)


@pytest.mark.parametrize(
    "spec", ["filter:high=500", "filter:low=500", "smooth", "lpc", "compress", "mulaw"]
)
def test_one_sample_is_enough(spec: str) -> None:
    heard = front_end(spec)(Audio.of([torch.tensor([0.5])]), Draws([0]))
    assert heard.wav.shape == (1, 1)
    assert torch.isfinite(heard.wav).all()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("filter", "needs low=HZ"),
        ("filter:low=10", "at least 20 Hz"),
        ("filter:high=nan", "at least 20 Hz"),
        ("filter:low=4000,high=300", "low must be below high"),
        ("smooth:width=2", "must be odd"),
    ],
)
def test_impossible_settings_are_refused(spec: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        front_end(spec)


def test_an_edge_above_the_audio_is_refused() -> None:
    wave = Audio.of([torch.zeros(1_000)], 8_000)
    with pytest.raises(MelmoatError, match="below 4000 Hz only"):
        front_end("filter:low=100,high=4000")(wave, Draws([0]))

import pytest
import torch

from melmoat.attacks.budgets import L2, SNR, Budget, Linf, LinfSNR, budget, to_pcm16
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.metrics.distortion import snr_db

BUDGETS = [Linf(0.02), LinfSNR(20.0), L2(0.7), SNR(17.0)]


@pytest.mark.parametrize("ball", BUDGETS, ids=str)
class TestBudgets:
    def test_projection_is_inside_idempotent_and_nearest(self, ball: Budget, ragged: Audio) -> None:
        torch.manual_seed(0)
        delta = torch.randn(ragged.wav.shape) * ragged.mask
        inside = ball.project(delta, ragged)
        assert (ball.norm(inside) <= ball.radius(ragged) * (1 + 1e-5)).all()
        assert torch.allclose(ball.project(inside, ragged), inside, atol=1e-6)
        for seed in range(5):
            other = ball.random(ragged, Draws([seed, 1, 2]))
            assert ((delta - inside).norm(dim=1) <= (delta - other).norm(dim=1) + 1e-4).all()

    def test_a_step_is_the_steepest_of_unit_norm(self, ball: Budget, ragged: Audio) -> None:
        torch.manual_seed(0)
        gradient = torch.randn(ragged.wav.shape)
        step = ball.step(gradient, ragged)
        assert torch.allclose(ball.norm(step), torch.ones(3), atol=1e-5)
        for seed in range(5):
            other = ball.random(ragged, Draws([seed, 1, 2])) / ball.radius(ragged)[:, None]
            assert ((step * gradient).sum(1) >= (other * gradient).sum(1)).all()

    def test_a_zero_gradient_is_a_zero_step(self, ball: Budget, ragged: Audio) -> None:
        assert ball.step(torch.zeros_like(ragged.wav), ragged).eq(0).all()

    def test_random_points_are_inside_and_off_the_padding(
        self, ball: Budget, ragged: Audio
    ) -> None:
        point = ball.random(ragged, Draws([1, 2, 3]))
        assert (ball.norm(point) <= ball.radius(ragged) * (1 + 1e-5)).all()
        assert (ball.norm(point) > 0).all()
        assert point[~ragged.mask].eq(0).all()


def test_snr_is_over_the_true_length(ragged: Audio) -> None:
    delta = SNR(23.0).step(torch.randn(ragged.wav.shape) * ragged.mask, ragged)
    delta = delta * SNR(23.0).radius(ragged)[:, None]
    found = snr_db(ragged, ragged.with_wav(ragged.wav + delta))
    assert torch.allclose(found, torch.full((3,), 23.0, dtype=torch.float64), atol=1e-3)


def test_a_box_of_20_db_is_20_db_when_used_whole(ragged: Audio) -> None:
    ball = LinfSNR(20.0)
    signs = torch.randn(ragged.wav.shape).sign() * ragged.mask
    found = snr_db(ragged, ragged.with_wav(ragged.wav + signs * ball.radius(ragged)[:, None]))
    assert torch.allclose(found, torch.full((3,), 20.0, dtype=torch.float64), atol=1e-3)
    assert ball.radius(Audio.of([torch.zeros(50)])).eq(0).all()


@pytest.mark.parametrize("ball", BUDGETS, ids=str)
def test_an_offset_changes_no_radius(ball: Budget) -> None:
    tone = 0.01 * torch.sin(torch.arange(4_000) * 2 * torch.pi / 40)
    radii = [ball.radius(Audio.of([tone + dc, tone[:400] + dc])) for dc in (0, 0.05, -0.4)]
    assert torch.allclose(radii[1], radii[0], rtol=1e-4)
    assert torch.allclose(radii[2], radii[0], rtol=1e-4)


@pytest.mark.parametrize("ball", [SNR(20.0), LinfSNR(20.0)], ids=str)
def test_an_offset_alone_is_silence(ball: Budget) -> None:
    assert ball.radius(Audio.of([torch.full((999,), 0.1)])).eq(0).all()


def test_a_power_ratio_of_20_is_13_db() -> None:
    made = budget("snr", None, None, 20.0)
    assert isinstance(made, SNR)
    assert made.db == pytest.approx(13.0103, abs=1e-4)


@pytest.mark.parametrize("ball", [Linf(5e-5), L2(0.01), SNR(55.0)], ids=str)
def test_rounding_stays_inside_even_where_it_matters(ball: Budget, ragged: Audio) -> None:
    clean = ragged.quantized()
    delta = ball.step(torch.randn(ragged.wav.shape) * ragged.mask, clean)
    delta = delta * ball.radius(clean)[:, None]
    written = to_pcm16(delta, clean, ball)
    used = ball.norm(written.wav - clean.wav) / ball.radius(clean)
    assert (used <= 1).all()
    assert (used > 0.5).all()


@pytest.mark.parametrize(("steps", "least"), [(0.5, 0.75), (0.7, 0.85), (0.9, 0.9), (1.5, 0.95)])
def test_what_rounding_decides_still_uses_the_budget(steps: float, least: float) -> None:
    clean = Audio.of(
        [torch.randn(8000, generator=torch.Generator().manual_seed(i)) for i in (0, 1)]
    )
    clean = clean.with_wav(0.1 * clean.wav).quantized()
    ball = L2(steps / 32768 * 8000**0.5)
    delta = ball.step(torch.randn(clean.wav.shape), clean) * ball.radius(clean)[:, None]
    written = to_pcm16(delta, clean, ball)
    used = ball.norm(written.wav - clean.wav) / ball.radius(clean)
    assert (used <= 1).all()
    assert (used > least).all()


def test_full_scale_is_one() -> None:
    with pytest.raises(ValueError, match=r"full scale is 1; 8 of the 32768 .* eps=0\.000244"):
        budget("linf", 8, None, None)
    assert budget("linf", 1, None, None) == Linf(1)


@pytest.mark.parametrize("ball", [L2(0.5), SNR(20.0)])
def test_a_step_has_unit_norm_whatever_the_size_of_the_gradient(
    ball: Budget, ragged: Audio
) -> None:
    """Below 1e-22 its squares underflow, and steps were millions of times too long."""
    gradient = Draws([1, 2, 3]).normal(ragged.wav) * ragged.mask
    usual = gradient / gradient.square().sum(1, keepdim=True).sqrt()
    assert torch.equal(ball.step(gradient, ragged), usual)  # to the bit
    for size in (1e-10, 1e-17, 1e-21, 1e-24, 1e-28):
        step = ball.step(size * gradient, ragged)
        assert torch.allclose(step, usual, rtol=1e-5, atol=1e-8)
    assert not ball.step(torch.zeros_like(gradient), ragged).any()

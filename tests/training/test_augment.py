import numpy as np
import pytest
import torch

from melmoat.training.augment import changed, changes, noisy, spec_augment


def perturb(wave: torch.Tensor, seed: int) -> torch.Tensor:
    return changed(wave, *changes(np.random.default_rng(seed)))


def test_speed_and_level_change_and_repeat_with_their_seed() -> None:
    wave = torch.sin(torch.arange(16_000) * 0.2)
    made = [perturb(wave, seed) for seed in range(50)]
    lengths = torch.tensor([len(w) for w in made]) / 16_000
    levels = torch.tensor([w.square().mean().sqrt() for w in made]) * 2**0.5
    assert 0.88 < lengths.min() < 0.93
    assert 1.08 < lengths.max() < 1.14
    assert 10 ** (-8.1 / 20) < levels.min() < 0.6
    assert 1.6 < levels.max() < 10 ** (8.1 / 20)
    assert torch.equal(perturb(wave, 3), perturb(wave, 3))


def test_noise_follows_the_sound_and_not_its_offset() -> None:
    wave = 0.01 * torch.sin(torch.arange(16_000) * 0.2)

    def noise(dc: float) -> torch.Tensor:
        return noisy(wave + dc, np.random.default_rng(5), 1.0) - (wave + dc)

    assert torch.allclose(noise(0.05), noise(0.0), atol=1e-7)


def test_a_share_of_the_waves_gets_noise() -> None:
    rng, wave = np.random.default_rng(0), torch.ones(8) - torch.eye(8)[0]
    assert not any(noisy(wave, rng, 0.0) is not wave for _ in range(50))
    assert 15 <= sum(noisy(wave, rng, 0.5) is not wave for _ in range(50)) <= 35


@pytest.mark.parametrize("between", [(10.0, 45.0), (0.0, 5.0)])
def test_noise_is_within_its_range(between: tuple[float, float]) -> None:
    wave = torch.zeros(16_000)
    wave[8_000] = 1.0  # all energy in one sample: elsewhere there is only noise
    for seed in range(20):
        out = noisy(wave, np.random.default_rng(seed), 1.0, *between)
        noise = out[:4_000].square().mean()
        snr = 10 * torch.log10((out.square().mean() - noise) / noise)
        assert between[0] - 1 < snr < between[1] + 1


def test_masks_cover_bands_and_gaps_inside_the_utterance() -> None:
    features = torch.ones(4, 161, 300)
    frames = torch.tensor([300, 200, 40, 3])
    out = spec_augment(features, frames, np.random.default_rng(0))
    assert features.eq(1).all()
    assert out[0, :, :300].eq(0).all(0).any()  # a gap in time
    assert out[0, :, :300].eq(0).all(1).any()  # a band
    for x, n in zip(out, frames.tolist(), strict=True):
        gone_bins = x[:, :n].eq(0).all(1).sum()
        gone_frames = x[:, :n].eq(0).all(0).sum()
        assert gone_bins <= 48
        assert gone_frames <= min(20 * (1 + n // 150), n)
        assert x[:, n:].eq(0).all(1).sum() == gone_bins or n == 300
    assert out[0].eq(0).float().mean() == pytest.approx(0.15, abs=0.12)

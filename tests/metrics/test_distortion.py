import pytest
import torch

from melmoat.audio import Audio
from melmoat.metrics.distortion import l2, linf, snr_db


def test_a_tone_times_1_1_is_20_db() -> None:
    tone = torch.sin(torch.arange(4_000) * 2 * torch.pi / 40)  # whole periods: no mean
    clean = Audio.of([tone, tone[:1_000]])
    other = clean.with_wav(clean.wav * 1.1)
    assert snr_db(clean, other).tolist() == pytest.approx([20.0, 20.0], abs=1e-4)


@pytest.mark.parametrize("dc", [0.05, -0.4])
def test_an_offset_of_the_signal_is_no_signal_and_one_that_is_added_is_a_change(dc: float) -> None:
    tone = 0.01 * torch.sin(torch.arange(4_000) * 2 * torch.pi / 40)
    clean = Audio.of([tone + dc, tone[:1_000] + dc])
    other = clean.with_wav(clean.wav + 0.1 * (clean.wav - dc))
    assert snr_db(clean, other).tolist() == pytest.approx([20.0, 20.0], abs=1e-3)
    shifted = clean.with_wav(clean.wav + 0.001 / 2**0.5)
    assert snr_db(clean, shifted).tolist() == pytest.approx([20.0, 20.0], abs=1e-3)


def test_norms_of_one_changed_sample() -> None:
    clean = Audio.of([torch.zeros(10), torch.zeros(5)])
    wav = clean.wav.clone()
    wav[0, 3], wav[0, 4], wav[1, 2] = 0.3, -0.4, 0.25
    other = clean.with_wav(wav)
    assert linf(clean, other).tolist() == pytest.approx([0.4, 0.25])
    assert l2(clean, other).tolist() == pytest.approx([0.5, 0.25])


def test_no_change_is_infinite_and_changed_silence_minus_infinite() -> None:
    clean = Audio.of([torch.ones(5), torch.zeros(5)])
    assert snr_db(clean, clean).tolist() == [torch.inf, torch.inf]
    wav = clean.wav + 0.1
    assert snr_db(clean, clean.with_wav(wav)).tolist()[1] == -torch.inf

import pytest
import torch
import torch.nn.functional as F

from melmoat.audio import Audio, AudioError
from melmoat.spectral import hz_to_mel, magnitude, mel_basis, mel_to_hz, reflect_pad, stft


def test_each_utterance_is_reflected_at_its_own_ends(ragged: Audio) -> None:
    padded = reflect_pad(ragged, 160)
    for row, wave in zip(padded, ragged, strict=True):
        expected = F.pad(wave[None, None], (160, 160), mode="reflect")[0, 0]
        assert torch.equal(row[: len(expected)], expected)
        assert row[len(expected) :].eq(0).all()


def test_too_short_to_reflect_is_an_error() -> None:
    with pytest.raises(AudioError, match="at least 161"):
        reflect_pad(Audio.of([torch.zeros(160)]), 160)


def test_a_cosine_on_a_bin_has_half_the_windows_sum() -> None:
    n_fft, bin_ = 512, 32
    t = torch.arange(8_000)
    wave = torch.cos(2 * torch.pi * bin_ * t / n_fft)
    window = torch.hann_window(n_fft)
    spectrum, frames = stft(Audio.of([wave]), window, 128)
    middle = magnitude(spectrum)[0, :, 20]
    assert int(frames) == 1 + 8_000 // 128 == spectrum.shape[-1]
    assert middle.argmax() == bin_
    assert middle[bin_] == pytest.approx(float(window.sum()) / 2, rel=1e-4)


@pytest.mark.parametrize("size", [320, 321])
@pytest.mark.parametrize("pad", ["zeros", "reflect"])
def test_frames_are_the_same_alone_and_in_a_batch(ragged: Audio, pad: str, size: int) -> None:
    window = torch.hann_window(size)
    ragged = Audio.of([*ragged, torch.ones(3200)])  # a multiple of the hop
    spectra, frames = stft(ragged, window, 160, pad)  # type: ignore[arg-type]
    for i, wave in enumerate(ragged):
        alone, count = stft(Audio.of([wave]), window, 160, pad)  # type: ignore[arg-type]
        assert int(count) == int(frames[i]) == alone.shape[-1]
        assert torch.allclose(spectra[i, :, : int(count)], alone[0], atol=1e-5)


def test_mel_scale_is_slaneys() -> None:
    assert hz_to_mel(1_000.0) == pytest.approx(15.0)
    assert hz_to_mel(6_400.0) == pytest.approx(42.0)  # 27 log steps make a factor of 6.4
    for hz in (0.0, 60.0, 999.0, 1_001.0, 7_600.0):
        assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz)


def test_mel_filters_have_unit_area_and_peak_at_their_centres() -> None:
    basis = mel_basis(16_000, 4_096, 40, 0.0, 8_000.0)
    area = basis.sum(1) * (8_000 / 2_048)
    assert torch.allclose(area, torch.ones(40).double(), atol=0.02)
    top = hz_to_mel(8_000.0)
    centres = torch.tensor([mel_to_hz(top * (i + 1) / 41) for i in range(40)]).double()
    assert torch.allclose(basis.argmax(1).double() * 8_000 / 2_048, centres, atol=4.0)


def test_mel_band_edges_are_checked() -> None:
    with pytest.raises(ValueError, match=r"0\.\.8000"):
        mel_basis(16_000, 512, 40, 0.0, 9_000.0)

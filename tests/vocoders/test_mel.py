"""The mel spectrogram is the published one, frame by frame, and the same in any batch."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from melmoat.audio import Audio, AudioError
from melmoat.spectral import hz_to_mel, mel_basis, mel_to_hz
from melmoat.vocoders.mel import LAB_MEL, MelSpec, extend

CENTRED = replace(LAB_MEL, centred=True, win=600, log="e", floor=1e-10, fmin=80, fmax=7_600)
ODD = replace(LAB_MEL, n_fft=511, win=500, hop=100, bands=40)
specs = pytest.mark.parametrize("spec", [LAB_MEL, CENTRED, ODD], ids=["lab", "centred", "odd"])


def by_hand(spec: MelSpec, wave: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Frame by frame in numpy, from the definition."""
    t = np.arange(spec.win)
    window = np.zeros(spec.n_fft)
    left = (spec.n_fft - spec.win) // 2
    window[left : left + spec.win] = 0.5 - 0.5 * np.cos(2 * np.pi * t / spec.win)
    before = spec.n_fft // 2 if spec.centred else (spec.n_fft - spec.hop) // 2
    padded = np.pad(wave, spec.n_fft, mode="reflect")
    basis = mel_basis(spec.rate, spec.n_fft, spec.bands, spec.fmin, spec.fmax).numpy()
    frames = 1 + len(wave) // spec.hop if spec.centred else -(-len(wave) // spec.hop)
    columns = []
    for f in range(frames):
        begin = spec.n_fft + f * spec.hop - before
        power = np.abs(np.fft.rfft(padded[begin : begin + spec.n_fft] * window)) ** 2
        columns.append(np.maximum(basis @ np.sqrt(power + min(1e-10, spec.floor**2)), spec.floor))
    log = np.log10 if spec.log == "10" else np.log
    return log(np.stack(columns, axis=1))  # type: ignore[no-any-return]


@specs
@pytest.mark.parametrize("length", [1_920, 2_001])
def test_it_is_the_definition(spec: MelSpec, length: int) -> None:
    wave = np.random.default_rng(0).normal(0, 0.1, length)
    mel, frames = spec(Audio.of([torch.from_numpy(wave)]))
    expected = by_hand(spec, wave)
    assert int(frames) == expected.shape[1]
    assert mel.dtype == torch.float64
    assert np.abs(mel[0].numpy() - expected).max() < 1e-8


@specs
def test_a_tone_lands_in_its_band(spec: MelSpec) -> None:
    low, high = hz_to_mel(spec.fmin), hz_to_mel(spec.fmax)
    for band in (20, 30, 37):
        hz = mel_to_hz(low + (high - low) * (band + 1) / (spec.bands + 1))
        wave = 0.5 * torch.sin(2 * torch.pi * hz * torch.arange(8_000) / spec.rate)
        mel, _ = spec(Audio.of([wave]))
        assert (mel[0, :, 4:-8].argmax(0) == band).all()


@pytest.mark.parametrize("centred", [False, True])
def test_a_frame_stands_for_its_own_samples(centred: bool) -> None:
    spec = replace(LAB_MEL, centred=centred)
    wave = torch.zeros(5_000)
    at = 10 * spec.hop + (0 if centred else spec.hop // 2)
    wave[at] = 1.0
    mel, _ = spec(Audio.of([wave]))
    level = mel[0].mean(0)
    assert int(level.argmax()) == 10
    for i in range(1, 3):  # and the window is symmetric about that sample
        assert level[10 - i] == pytest.approx(float(level[10 + i]), abs=1e-3)


@specs
def test_a_ragged_batch_equals_its_singles(spec: MelSpec, ragged: Audio) -> None:
    mel, frames = spec(ragged)
    assert mel.shape[-1] == int(frames.max())
    for i, wave in enumerate(ragged):
        alone, count = spec(Audio.of([wave]))
        assert int(count) == int(frames[i])
        assert torch.allclose(mel[i, :, : int(count)], alone[0], atol=1e-4)


@specs
def test_frames_cover_every_sample_and_no_more_than_one_is_spare(spec: MelSpec) -> None:
    lengths = torch.arange(1, 2_000)
    covered = spec.frames(lengths) * spec.hop
    assert (covered >= lengths).all()
    assert (covered - lengths <= spec.hop).all()


@specs
def test_silence_has_the_floors_level_and_no_gradient(spec: MelSpec) -> None:
    spec = replace(spec, floor=1e-5)
    wav = torch.zeros(1, 3_000, requires_grad=True)
    mel, _ = spec(Audio(wav, torch.tensor([3_000])))
    mel.sum().backward()
    assert wav.grad is not None
    assert wav.grad.eq(0).all()
    floor = math.log10(1e-5) if spec.log == "10" else math.log(1e-5)
    assert torch.allclose(mel, torch.full_like(mel, floor))


def test_a_low_floor_is_reached() -> None:
    spec = MelSpec(floor=1e-10, centred=True)
    mel, _ = spec(Audio.of([torch.zeros(3_000)], 22_050))
    assert torch.allclose(mel, torch.full_like(mel, -10.0))


def test_the_gradient_is_exact() -> None:
    spec = MelSpec(rate=16_000, n_fft=32, hop=8, win=30, bands=6, fmax=8_000)
    wav = 0.1 * torch.randn(1, 100, generator=torch.Generator().manual_seed(0)).double()
    lengths = torch.tensor([100])
    assert torch.autograd.gradcheck(
        lambda w: spec(Audio(w, lengths))[0], wav.requires_grad_(), fast_mode=True
    )


def test_normalise() -> None:
    spec = replace(LAB_MEL, bands=2, mean=(-3.0, 1.0), scale=(0.5, 2.0))
    mel = torch.tensor([[[-3.0, -2.0], [1.0, 5.0]]])
    assert spec.normalise(mel).tolist() == [[[0.0, 2.0], [0.0, 2.0]]]
    assert torch.equal(LAB_MEL.normalise(mel), mel)


def test_audio_it_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="hears 16000 Hz, got 8000 Hz"):
        LAB_MEL(Audio.of([torch.zeros(9_000)], rate=8_000))
    with pytest.raises(AudioError, match="too short"):
        LAB_MEL(Audio.of([torch.zeros(300)]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hop": 0}, "0 < hop <= win <= n_fft"),
        ({"hop": 800}, "0 < hop <= win <= n_fft"),
        ({"win": 1_024}, "0 < hop <= win <= n_fft"),
        ({"fmax": 8_001}, r"band edges 0\.0\.\.8001 Hz at 16000 Hz"),
        ({"fmin": 8_000}, "band edges"),
        ({"fmin": -1}, "band edges"),
        ({"floor": 0}, "floor 0"),
        ({"log": "2"}, "log '2'"),
        ({"mean": (0.0,) * 79}, "79 values of mean for 80 bands"),
        ({"scale": (0.0,)}, "1 values of scale for 80 bands"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(LAB_MEL, **changes)


def test_extend_repeats_each_last_frame() -> None:
    mel = torch.tensor([[[1.0, 2.0, 9.0]], [[3.0, 4.0, 5.0]]])
    extended = extend(mel, torch.tensor([2, 3]), 2)
    assert extended.tolist() == [[[1, 2, 2, 2, 2]], [[3, 4, 5, 5, 5]]]
    assert torch.equal(extend(mel, torch.tensor([3, 3]), 0), mel)

"""Griffin-Lim finds waveforms of the spectrogram it is given, in time and without randomness."""

import math
from dataclasses import replace

import pytest
import torch

from melmoat import data
from melmoat.audio import Audio
from melmoat.vocoders import LAB_MEL, GriffinLim, GriffinLimConfig, MelSpec
from melmoat.vocoders.griffin_lim import _spectrum, _unit

framings = pytest.mark.parametrize("centred", [False, True])


def distance(vocoder: GriffinLim, audio: Audio) -> float:
    """Mean difference of the log-mel of a resynthesis from the original's, in decades."""
    mel, _ = vocoder.mel(audio)
    (wave,) = vocoder(mel)
    again, _ = vocoder.mel(Audio.of([wave[: audio.wav.shape[1]]]))
    return float((again[..., : mel.shape[-1]] - mel).abs().mean())


@framings
def test_speech_comes_back_nearer_with_every_iteration(centred: bool) -> None:
    spec = replace(LAB_MEL, centred=centred)
    speech = data.read([next(iter(data.load("demo")))])
    speech = Audio.of([speech.wav[0, :24_000]])
    found = [distance(GriffinLim(GriffinLimConfig(n), spec), speech) for n in (1, 8, 32)]
    assert found[0] > 1.2 * found[1] > 1.2 * found[2]
    assert found[2] < 0.08  # 0.18 nats


@framings
@pytest.mark.parametrize("hop", [192, 191])
def test_a_burst_stays_in_its_place(centred: bool, hop: int) -> None:
    spec = replace(LAB_MEL, centred=centred, hop=hop)
    t = torch.arange(8_000)
    burst = torch.exp(-(((t - 4_100) / 80) ** 2)) * torch.sin(2 * torch.pi * t * 1_000 / 16_000)
    mel, frames = spec(Audio.of([0.3 * burst]))
    wave = GriffinLim(GriffinLimConfig(16), spec)(mel)
    assert wave.shape == (1, int(frames) * hop)
    energy = wave[0].square()
    centre = (energy * torch.arange(len(energy))).sum() / energy.sum()
    assert float(centre) == pytest.approx(4_100, abs=20)
    assert float(energy.sum()) == pytest.approx(float((0.3 * burst).square().sum()), rel=0.1)


def test_the_same_whatever_was_drawn_before() -> None:
    mel = torch.linspace(-5, 0, 80)[None, :, None].expand(1, 80, 7)
    waves = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        waves.append(GriffinLim()(mel))
    assert torch.equal(*waves)


def test_the_scale_of_the_mel_does_not_matter() -> None:
    normalised = replace(LAB_MEL, log="e", mean=(-2.0,) * 80, scale=(3.0,) * 80)
    audio = Audio.of([0.1 * torch.sin(torch.arange(3_000) ** 1.3)])
    wave = GriffinLim(GriffinLimConfig(2))(LAB_MEL(audio)[0])
    again = GriffinLim(GriffinLimConfig(2), normalised)(normalised.normalise(normalised(audio)[0]))
    assert torch.allclose(wave, again, atol=1e-4)


@framings
@pytest.mark.parametrize("sound", ["silence", "silence inside speech", "clipped noise"])
def test_neither_wave_nor_gradient_is_ever_nan(centred: bool, sound: str) -> None:
    wav = torch.zeros(1, 6_000)
    if sound != "silence":
        noise = torch.randn(1, 6_000, generator=torch.Generator().manual_seed(0))
        wav = noise.sign() if sound == "clipped noise" else 0.1 * noise
    if sound == "silence inside speech":
        wav[:, 2_000:4_000] = 0
    wav.requires_grad_()
    vocoder = GriffinLim(GriffinLimConfig(16), replace(LAB_MEL, centred=centred))
    mel, _ = vocoder.mel(Audio(wav, torch.tensor([6_000])))
    mel.retain_grad()
    wave = vocoder(mel)
    wave.square().sum().backward()
    assert mel.grad is not None
    assert wav.grad is not None
    for values in (wave, mel.grad, wav.grad):
        assert torch.isfinite(values).all()
    if sound == "silence":
        assert wave.abs().max() < 1e-3


@pytest.mark.parametrize("n_fft", [8, 9])
def test_transform_and_phases_have_their_derivatives(n_fft: int) -> None:
    frames = torch.randn(
        2, 3, n_fft, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(_spectrum(frames), torch.fft.rfft(frames))
    bins = torch.fft.rfft(frames)
    assert torch.allclose(_unit(bins), bins / bins.abs(), atol=1e-7)
    bins[0, 0, 0] = 0  # silent: no direction, and a slope all the same
    assert torch.autograd.gradcheck(_spectrum, frames.requires_grad_())
    assert torch.autograd.gradcheck(_unit, (1e-3 * bins).requires_grad_(), eps=1e-9, atol=1e-3)


def test_a_shorter_gradient_is_of_the_same_wave() -> None:
    mel = torch.randn(1, 80, 12, dtype=torch.float64, generator=torch.manual_seed(0)) + 1
    waves, grads = {}, {}
    for through in (None, 6, 2, 0):
        mel = mel.detach().requires_grad_()
        wave = waves[through] = GriffinLim(GriffinLimConfig(6, 0.5, through))(mel)
        loss = (wave * torch.arange(wave.shape[1]).sin()).sum()
        (grads[through],) = torch.autograd.grad(loss, mel)
        assert torch.equal(wave, waves[None])
        # Louder by any factor, the wave keeps its phases: so this slope hardly depends on them.
        assert float(grads[through].sum()) == pytest.approx(loss.item() * math.log(10), rel=0.02)
    assert torch.equal(grads[6], grads[None])
    assert (grads[2] - grads[None]).norm() > 0.1 * grads[None].norm()
    assert (grads[2] - grads[0]).norm() > 0.01 * grads[0].norm()


def test_a_single_frame_and_a_hop_without_overlap() -> None:
    assert GriffinLim()(torch.zeros(1, 80, 1)).shape == (1, 192)
    far = MelSpec(16_000, n_fft=256, hop=256, win=256, bands=20, fmax=8_000, centred=True)
    wave = GriffinLim(None, far)(torch.zeros(2, 20, 5))
    assert wave.shape == (2, 5 * 256)
    assert torch.isfinite(wave).all()


@pytest.mark.parametrize(("iterations", "momentum"), [(0, 0.99), (5, -0.1), (5, 2.0)])
def test_impossible_searches_are_refused(iterations: int, momentum: float) -> None:
    with pytest.raises(ValueError, match="at least 1 iteration and a momentum"):
        GriffinLimConfig(iterations, momentum)


def test_a_gradient_cannot_run_through_more_than_all() -> None:
    with pytest.raises(ValueError, match="0 to 4 iterations, got 5"):
        GriffinLimConfig(4, through=5)

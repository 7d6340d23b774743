"""What holds for every vocoder, over small ones of every architecture and over the table."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from melmoat import vocoders
from melmoat.draws import Draws
from melmoat.spec import SpecError
from melmoat.vocoders import (
    VOCODERS,
    HiFiGANConfig,
    MelGAN,
    ParallelWaveGAN,
    ParallelWaveGANConfig,
    synthesise,
)
from melmoat.vocoders import base as base_module
from melmoat.vocoders.checkpoints import load as load_ours
from melmoat.vocoders.checkpoints import save
from melmoat.weights import WeightsError
from tests.vocoders.small import BANDS, MEL, NORMALISED, SMALL, TRAINABLE, noise_for, normal, small

every = pytest.mark.parametrize("name", SMALL)
trainable = pytest.mark.parametrize("name", TRAINABLE)


@every
def test_every_frame_becomes_hop_samples(name: str) -> None:
    vocoder = small(name)
    for frames in (4, 11):
        mel = normal(2, BANDS, frames).float()
        assert vocoder(mel, noise_for(vocoder, mel)).shape == (2, frames * vocoder.mel.hop)


@every
def test_the_gradient_reaches_every_band_and_frame_and_is_exact(name: str) -> None:
    vocoder = small(name).double()
    mel = normal(1, BANDS, 5).requires_grad_()
    noise = noise_for(vocoder, mel)
    weights, step = normal(1, 5 * vocoder.hop), 1e-6 * torch.ones_like(mel)
    (gradient,) = torch.autograd.grad((vocoder(mel, noise) * weights).sum(), mel)
    assert gradient.ne(0).all()
    rise = (vocoder(mel + step, noise) - vocoder(mel - step, noise)) * weights
    assert float(rise.detach().sum()) == pytest.approx(2e-6 * float(gradient.sum()), rel=1e-5)


@trainable
def test_reach_is_how_far_ahead_and_behind_it_sees(name: str) -> None:
    vocoder = small(name).double()
    reach, hop = vocoder.reach, vocoder.hop
    assert reach is not None
    frame = reach + 2
    mel = normal(1, BANDS, 2 * frame + 5)
    noise = noise_for(vocoder, mel)
    wave = vocoder(mel, noise)[0]

    def changed(at: int) -> list[int]:
        other = mel.clone()
        other[..., at] += 1
        return vocoder(other, noise)[0].ne(wave).nonzero()[:, 0].tolist()  # type: ignore[no-any-return]

    seen = changed(frame + reach)
    assert (frame + 1) * hop - 1 in seen, "it sees fewer frames ahead than it says"
    assert min(changed(frame + reach + 1)) >= (frame + 1) * hop
    assert max(changed(frame - reach - 1)) < frame * hop


@every
def test_another_device_gives_the_same(name: str, device: str) -> None:
    vocoder = small(name).double()
    frames, mel = torch.tensor([5, 9, 7]), normal(3, BANDS, 9)
    here = synthesise(vocoder, mel, frames, Draws([1, 2, 3]))
    there = synthesise(vocoder, mel.to(device), frames.to(device), Draws([1, 2, 3]))
    assert there.device.type == device
    assert torch.allclose(there.cpu(), here, atol=1e-9)


@every
def test_a_ragged_batch_equals_its_singles(name: str) -> None:
    vocoder = small(name).double()
    frames = torch.tensor([5, 9, 7])
    mel = normal(3, BANDS, 9)
    waves = synthesise(vocoder, mel, frames, Draws([1, 2, 3]))
    assert waves.shape == (3, 9 * vocoder.hop)
    for i, count in enumerate(frames.tolist()):
        own = mel[i : i + 1, :, :count]
        (alone,) = synthesise(vocoder, own, frames[i : i + 1], Draws([i + 1]))
        assert torch.allclose(waves[i, : len(alone)], alone, atol=1e-9)
        assert len(alone) == count * vocoder.hop


@pytest.mark.parametrize("name", ["melgan-one-stretch", "pwg"])
def test_networks_see_a_normalised_mel(name: str) -> None:
    vocoder = small(name)
    mel, frames = normal(1, BANDS, 6).float(), torch.tensor([6])
    mean, scale = torch.tensor(NORMALISED.mean), torch.tensor(NORMALISED.scale)
    wave = synthesise(vocoder, mel, frames, Draws([1]))
    vocoder.mel = replace(vocoder.mel, mean=None, scale=None)
    seen = (mel - mean[:, None]) / scale[:, None]
    assert torch.allclose(synthesise(vocoder, seen, frames, Draws([1])), wave, atol=1e-6)


@trainable
def test_long_speech_in_pieces_is_the_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vocoder = small(name).double()
    mel, frames = normal(2, BANDS, 40), torch.tensor([40, 33])
    whole = synthesise(vocoder, mel, frames, Draws([1, 2]))
    monkeypatch.setattr(base_module, "CHUNK", 7)
    with torch.no_grad():
        pieces = synthesise(vocoder, mel, frames, Draws([1, 2]))
    assert pieces.shape == whole.shape
    assert torch.allclose(pieces[0], whole[0], atol=1e-9)
    assert torch.allclose(pieces[1, : 33 * vocoder.hop], whole[1, : 33 * vocoder.hop], atol=1e-9)


@trainable
def test_frozen_weights_make_pieces_where_nothing_wants_a_gradient(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocoder = small(name).requires_grad_(False)
    longest = []
    vocoder.register_forward_pre_hook(lambda _, given: longest.append(given[0].shape[-1]))
    monkeypatch.setattr(base_module, "CHUNK", 7)
    mel = normal(1, BANDS, 40).float()
    synthesise(vocoder, mel, torch.tensor([40]), Draws([1]))
    assert len(longest) > 1
    synthesise(vocoder, mel.requires_grad_(), torch.tensor([40]), Draws([1]))
    assert max(longest[:-1]) < longest[-1]


@trainable
def test_weights_come_back_with_sizes_and_mel(name: str, tmp_path: Path) -> None:
    vocoder = small(name)
    save(tmp_path / "a.safetensors", vocoder, {"origin": "a test"})
    loaded = vocoders.load(f"trained:{tmp_path / 'a.safetensors'}")
    for attribute in ("config", "mel", "reach", "hop"):
        assert getattr(loaded, attribute) == getattr(vocoder, attribute)
    mel = normal(1, BANDS, 6).float()
    noise = noise_for(vocoder, mel)
    assert torch.equal(loaded(mel, noise), vocoder(mel, noise))
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


def test_the_mel_must_have_the_networks_hop() -> None:
    with pytest.raises(ValueError, match="makes 256 samples a frame, its mel has 16"):
        MelGAN(None, MEL)


def test_the_samples_of_a_step_lie_beside_each_other() -> None:
    config = ParallelWaveGANConfig(1, 1, residual=4, gate=6, skip=5, scales=(4,), fold=4)
    vocoder = ParallelWaveGAN(config, replace(NORMALISED, hop=16))
    mel, noise = normal(1, BANDS, 5).float(), torch.zeros(1, 1, 80)
    changed = noise.clone()
    changed[0, 0, 37] = 1.0  # in step 9; one layer of dilation 1 hears one step to each side
    moved = (vocoder(mel, changed) - vocoder(mel, noise))[0].abs() > 1e-7
    assert moved.nonzero()[:, 0].tolist() == list(range(32, 44))


def test_parallel_wavegan_needs_noise_of_the_right_length() -> None:
    with pytest.raises(ValueError, match="takes noise of 60 samples for 4 frames, got None"):
        small("pwg")(torch.zeros(1, BANDS, 4))
    with pytest.raises(ValueError, match="got 59"):
        small("pwg")(torch.zeros(1, BANDS, 4), torch.zeros(1, 1, 59))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"block": 3}, "blocks of type 1 and 2, not 3"),
        ({"kernels": (16, 16, 4)}, "got 3 for 4"),
        ({"dilations": ((1, 3, 5),)}, "1 for 3"),
        ({"kernels": (16, 4, 4, 4)}, "leave gaps"),
        ({"block_kernels": (3, 7, 10)}, "must be odd"),
    ],
)
def test_impossible_hifigans_are_refused(sizes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HiFiGANConfig(**sizes)  # type: ignore[arg-type]


@pytest.mark.parametrize("stacks", [0, 4])
def test_impossible_stacks_are_refused(stacks: int) -> None:
    with pytest.raises(ValueError, match=f"30 layers do not divide into {stacks} stacks"):
        ParallelWaveGANConfig(stacks=stacks)


@pytest.mark.parametrize("name", ["melgan-lab"])
def test_what_ships_is_found_and_its_absence_told(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = sys.modules["melmoat.vocoders.load"]
    monkeypatch.setattr(module, "asset", lambda file: tmp_path / file)
    with pytest.raises(WeightsError, match=rf"{name}\.safetensors: no such weights file"):
        vocoders.load(name)
    save(tmp_path / f"{name}.safetensors", small("melgan"), {})
    assert vocoders.load(name).hop == 15


def test_specs() -> None:
    assert str(VOCODERS.parse("griffin-lim:iterations=32,momentum=0.5")) == (
        "griffin-lim:momentum=0.5"
    )
    assert vocoders.load("griffin-lim:iterations=5").config.iterations == 5
    with pytest.raises(SpecError, match="at least 1 iteration"):
        vocoders.load("griffin-lim:iterations=0")
    with pytest.raises(SpecError, match="known: descriptinc-melgan, griffin-lim, hifigan"):
        vocoders.load("wavenet")


def test_weights_of_another_architecture_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save(path, small("melgan"), {})
    path.write_bytes(path.read_bytes().replace(b'\\"melgan\\"', b'\\"wavnet\\"'))
    with pytest.raises(WeightsError, match="not a vocoder of this melmoat"):
        load_ours(path)

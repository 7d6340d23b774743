from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from melmoat import data, vocoders
from melmoat.audio import PCM16
from melmoat.bench.cell import fingerprint
from melmoat.errors import MelmoatError
from melmoat.training import loop, vocoder, vocoder_setups
from melmoat.training.vocoder import VocoderRecipe, VocoderTask, plain
from melmoat.training.vocoder_setups import VocoderSetup, train_vocoder, with_statistics
from melmoat.vocoders import MelGAN, MelGANConfig, ParallelWaveGAN, ParallelWaveGANConfig
from melmoat.vocoders.base import Vocoder
from melmoat.vocoders.discriminators import (
    MelGANDiscriminator,
    MelGANDiscriminatorConfig,
    ParallelWaveGANDiscriminator,
    ParallelWaveGANDiscriminatorConfig,
)
from melmoat.vocoders.losses import generator_loss
from melmoat.vocoders.mel import MelSpec
from melmoat.weights import read_header
from tests.training.restarts import check_restart

MEL = MelSpec(rate=16_000, n_fft=256, hop=32, win=256, bands=20, fmax=8_000)
RECIPE = VocoderRecipe(
    steps=40, warmup=40, batch=4, frames=24, average=0.9, resolutions=((256, 64, 256),)
)


def hums(n: int) -> list[Tensor]:
    """Harmonic sounds of different pitch."""
    waves = []
    for i in range(n):
        t = torch.arange(6_000 + 100 * i) / 16_000
        parts = [torch.sin(2 * torch.pi * k * (120 + 20 * i) * t) / k for k in range(1, 12)]
        waves.append((0.1 * torch.stack(parts).sum(0) * PCM16).short())
    return waves


def melgan(mel: MelSpec = MEL) -> Vocoder:
    torch.manual_seed(0)
    return MelGAN(MelGANConfig(channels=32, ratios=(8, 4), blocks=1), mel)


def pwg(mel: MelSpec = MEL) -> Vocoder:
    torch.manual_seed(0)
    sizes = ParallelWaveGANConfig(
        layers=2, stacks=1, residual=8, gate=8, skip=8, scales=(8, 4), context=1
    )
    return ParallelWaveGAN(sizes, mel)


def small_melgan_discriminator() -> nn.Module:
    return MelGANDiscriminator(MelGANDiscriminatorConfig(scales=2, channels=4, most=8))


def small_pwg_discriminator() -> nn.Module:
    return ParallelWaveGANDiscriminator(ParallelWaveGANDiscriminatorConfig(layers=3, channels=4))


def task(recipe: VocoderRecipe = RECIPE, device: str = "cpu") -> VocoderTask:
    made = melgan()
    discriminator = small_melgan_discriminator() if recipe.warmup < recipe.steps else None
    return VocoderTask(made, discriminator, hums(6), hums(8)[6:], recipe, device)


def test_spectral_training_brings_held_out_sounds_nearer() -> None:
    trained = task(replace(RECIPE, lr=3e-3))
    before = trained.validate()
    for number in range(40):
        trained.step(number)
        assert trained.optimizers[0].param_groups[0]["lr"] > 0, "no step is for nothing"
    after = trained.validate()
    assert after["held_out_mel"] < 0.8 * before["held_out_mel"]
    assert after["held_out_stft"] < before["held_out_stft"]


@pytest.mark.parametrize("kind", ["melgan", "pwg"])
def test_the_discriminator_joins_after_the_warm_up_and_learns(kind: str) -> None:
    recipe = replace(RECIPE, steps=6, warmup=2, lr_discriminator=1e-2)
    if kind == "melgan":
        trained = VocoderTask(melgan(), small_melgan_discriminator(), hums(4), [], recipe)
    else:
        recipe = replace(recipe, adversary="lsgan", matching=0.0)
        trained = VocoderTask(pwg(), small_pwg_discriminator(), hums(4), [], recipe)
    assert trained.discriminator is not None
    start = [p.clone() for p in trained.discriminator.parameters()]
    losses = [trained.step(number) for number in range(6)]
    assert ["discriminator" in figures for figures in losses] == [False] * 2 + [True] * 4
    assert losses[-1]["discriminator"] < losses[2]["discriminator"]
    now = list(trained.discriminator.parameters())
    assert all(not torch.equal(a, b) for a, b in zip(start, now, strict=True))


@pytest.mark.parametrize("kind", ["melgan", "pwg"])
def test_the_generator_learns_to_deceive(kind: str) -> None:
    recipe = replace(RECIPE, steps=12, warmup=0, lr=1e-2, lr_discriminator=0.0, matching=0.0)
    recipe = replace(recipe, adversarial=1e3)  # nothing else counts
    if kind == "melgan":
        trained = VocoderTask(melgan(), small_melgan_discriminator(), hums(4), [], recipe)
    else:
        recipe = replace(recipe, adversary="lsgan")
        trained = VocoderTask(pwg(), small_pwg_discriminator(), hums(4), [], recipe)
    assert trained.discriminator is not None
    with torch.no_grad():  # random weights hardly look at what they hear
        for name, gain in trained.discriminator.named_parameters():
            gain.mul_(2 if name.endswith("original0") else 1)
    mel, _ = trained.batch(np.random.default_rng(0))

    def unmasked() -> float:
        assert trained.discriminator is not None
        with torch.no_grad():
            made = trained._generate(trained.vocoder, mel, np.random.default_rng(0))
            return float(generator_loss(trained.discriminator(made), recipe.adversary))

    before = unmasked()
    for number in range(12):
        trained.step(number)
    assert unmasked() < before - 1e-3


def test_speech_too_short_for_a_frame_has_no_statistics() -> None:
    short, long = torch.zeros(100, dtype=torch.int16), hums(1)[0]
    assert with_statistics(MEL, [short, long]) == with_statistics(MEL, [long])
    with pytest.raises(MelmoatError, match="no utterance has the 145 samples"):
        with_statistics(MEL, [short])


def test_a_step_is_the_same_after_a_restart() -> None:
    recipe = replace(RECIPE, steps=4, warmup=1)
    check_restart(lambda: task(recipe), "average", "discriminator")


def test_a_crop_is_conditioned_on_what_its_frames_hear_beyond_it() -> None:
    made = task()
    mel, waves = made.batch(np.random.default_rng(0))
    assert mel.shape == (4, 20, 24)
    assert waves.shape == (4, 24 * 32)
    wave = hums(1)[0].float() / PCM16
    whole, _ = made._conditioned(wave[None, : made.crop + 2 * made.beyond])
    from melmoat.audio import Audio

    full, _ = MEL(Audio.of([wave]))
    first = made.beyond // 32
    assert torch.allclose(whole, full[..., first : first + 24], atol=1e-5)


def test_weight_norm_folds_away() -> None:
    made = task()
    made.step(0)
    folded = plain(made.vocoder)
    mel = torch.randn(1, 20, 30)
    assert not any("parametrizations" in key for key in folded.state_dict())
    assert torch.allclose(folded(mel), made.vocoder(mel), atol=1e-6)


def test_statistics_bring_the_training_speech_to_zero_mean_and_unit_deviation() -> None:
    from melmoat.audio import Audio

    speech = hums(3)
    spec = with_statistics(MEL, speech)
    mels = [spec.normalise(spec(Audio.of([w.float() / PCM16]))[0])[0] for w in speech]
    seen = torch.cat(mels, dim=1)
    assert torch.allclose(seen.mean(1), torch.zeros(20), atol=1e-4)
    assert torch.allclose(seen.std(1), torch.ones(20), atol=1e-3)


def test_speech_that_is_too_short_says_so() -> None:
    with pytest.raises(MelmoatError, match="no utterance is as long as a crop"):
        VocoderTask(melgan(), None, [torch.zeros(500, dtype=torch.int16)], [], RECIPE)


@pytest.mark.parametrize("normalised", [False, True])
def test_training_exports_weights_with_a_card_and_goes_on_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, normalised: bool
) -> None:
    recipe = replace(RECIPE, steps=2, warmup=1)
    monkeypatch.setattr(vocoder_setups, "LAB_MEL", MEL)
    monkeypatch.setitem(
        vocoder_setups.SETUPS,
        "tiny",
        VocoderSetup(melgan, small_melgan_discriminator, recipe, normalised),
    )
    other = VocoderSetup(pwg, small_pwg_discriminator, recipe, normalised)
    monkeypatch.setitem(vocoder_setups.SETUPS, "other", other)
    path, scores = train_vocoder(tmp_path / "a", ["demo"], 1, "tiny", recipe)
    card = read_header(path)["card"]
    assert card["held_out_mel"] == scores["held_out_mel"]
    assert card["trained_on"][0]["corpus"] == "demo"
    assert len(card["held_out_speakers"]) == 1
    made = vocoders.load(f"trained:{path}")
    assert (made.mel.mean is not None) == normalised
    held = card["held_out_speakers"]
    later = replace(recipe, lr=0.0, seed=1)
    again, _ = train_vocoder(tmp_path / "b", ["demo"], 2, "tiny", later, f"trained:{path}")
    card = read_header(again)["card"]
    assert card["held_out_speakers"] == held  # what was unheard stays so
    assert card["start"] == f"trained:{fingerprint(path)}"
    assert str(tmp_path) not in str(card)
    with pytest.raises(MelmoatError, match="another network"):
        train_vocoder(tmp_path / "c", ["demo"], 1, "other", recipe, f"trained:{path}")
    kept = vocoders.load(f"trained:{again}").state_dict()
    assert all(torch.allclose(v, kept[k], atol=1e-6) for k, v in made.state_dict().items())


def test_corpora_are_read_as_16_bit() -> None:
    (wave,) = vocoder_setups.waves(list(data.load("demo"))[:1], 16_000)
    expected = data.read(list(data.load("demo"))[:1]).wav[0]
    assert wave.dtype == torch.int16
    assert torch.allclose(wave.float() / PCM16, expected, atol=1 / PCM16)


@pytest.mark.parametrize("broken", ["stft_loss", "discriminator_loss"])
def test_a_training_without_gradients_is_stopped(
    broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = task(replace(RECIPE, warmup=0))
    assert made.discriminator is not None
    parts = {"stft_loss": made.vocoder, "discriminator_loss": made.discriminator}
    kept = {name: value.clone() for name, value in parts[broken].state_dict().items()}
    right = getattr(vocoder, broken)
    monkeypatch.setattr(vocoder, broken, lambda *given: torch.nan * right(*given))
    for number in range(loop.PATIENCE - 1):
        made.step(number)
    again = task(replace(RECIPE, warmup=0))
    again.restore(made.state())
    assert sum(guard.skipped for guard in again.guards) == loop.PATIENCE - 1
    with pytest.raises(MelmoatError, match="no gradient of the last 20 steps was finite"):
        made.step(0)
    for name, value in parts[broken].state_dict().items():
        assert torch.equal(value, kept[name])

"""Training of the denoiser of diffusion purification."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from melmoat import data, defenses
from melmoat.audio import PCM16, Audio
from melmoat.cli.app import app
from melmoat.denoisers.diffusion import DiffusionConfig, DiffusionDenoiser
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.levels import loudest
from melmoat.training import diffusion, loop
from melmoat.training.diffusion import (
    DiffusionRecipe,
    DiffusionTask,
    errors,
    noise_for,
    profile,
    train_diffusion,
)
from melmoat.training.vocoder_setups import waves
from melmoat.weights import read_header
from tests.training.restarts import check_restart

SIZES = DiffusionConfig(64, 4, 12, 12, 24, 24, blocks=2, kernel=3, embedding=8)
RECIPE = DiffusionRecipe(steps=40, batch=4, seconds=0.2, lr=1e-2, average=0.9)


def hums(n: int) -> list[Tensor]:
    """Harmonic sounds of different pitch and level."""
    waves = []
    for i in range(n):
        t = torch.arange(6_000 + 100 * i) / 16_000
        parts = [torch.sin(2 * torch.pi * k * (120 + 20 * i) * t) / k for k in range(1, 12)]
        waves.append((0.02 * (i + 1) * torch.stack(parts).sum(0) * PCM16).short())
    return waves


def task(recipe: DiffusionRecipe = RECIPE, sounds: list[Tensor] | None = None) -> DiffusionTask:
    torch.manual_seed(0)
    network = DiffusionDenoiser(SIZES)
    return DiffusionTask(network, hums(6) if sounds is None else sounds, hums(8)[6:], recipe)


def test_training_takes_more_noise_out_of_speech_it_has_not_heard() -> None:
    speech = waves(data.load("demo"), 16_000)
    torch.manual_seed(0)
    network = DiffusionDenoiser(replace(SIZES, window=256))
    recipe = replace(RECIPE, seconds=0.5)
    trained = DiffusionTask(network, speech[6:], speech[:6], recipe)
    before = trained.validate()
    for number in range(40):
        trained.step(number)
        assert trained.optimizer.param_groups[0]["lr"] > 0, "no step is for nothing"
    after = trained.validate()
    for snr in (0, 10, 20):
        assert after[f"held_out_gain_{snr}db"] > before[f"held_out_gain_{snr}db"] + 1


def test_the_noise_follows_the_level_of_the_utterance_not_that_of_the_crop() -> None:
    quiet_half = torch.cat([hums(1)[0], torch.zeros(20_000, dtype=torch.int16)])
    made = task(replace(RECIPE, batch=64, loudest=10.0, faintest=10.0), [quiet_half])
    clean, sigma, level = made.batch(np.random.default_rng(0))
    assert clean.shape == (64, 3_200)
    assert clean.square().mean(1).sqrt().min() < 0.1 * level.min()
    assert torch.allclose(level, loudest(Audio.of([quiet_half.float() / PCM16])))
    assert torch.allclose(sigma, level * 10 ** (-0.5))


def test_snrs_are_drawn_evenly_in_db() -> None:
    made = task(replace(RECIPE, batch=4_000, seconds=0.01))
    _, sigma, level = made.batch(np.random.default_rng(0))
    snr = 20 * torch.log10(level / sigma)
    counts = torch.histc(snr, 4, -5.0, 35.0)
    assert counts.sum() == 4_000
    assert (counts / 1_000 - 1).abs().max() < 0.1


def test_the_loss_of_an_untrained_network_is_one_for_speech_of_its_profile() -> None:
    network = DiffusionDenoiser(SIZES)  # expects white speech of half its level
    rng = np.random.default_rng(0)
    clean = 0.5 * noise_for(torch.zeros(5, 30_000), rng)
    sigma = torch.tensor([0.01, 0.1, 0.5, 1.0, 10.0])
    losses, gains = errors(network, clean, noise_for(clean, rng), sigma, torch.ones(5))
    assert torch.allclose(losses, torch.ones(5), atol=0.05)
    expected = 10 * torch.log10((0.25 + sigma**2) / 0.25)  # of Wiener's filter
    assert torch.allclose(gains, expected, atol=0.1)


def test_the_profile_is_the_deviation_of_each_coefficient() -> None:
    network = DiffusionDenoiser(SIZES)
    torch.manual_seed(0)
    white = (0.1 * torch.randn(200_000) * PCM16).short()
    level = float(loudest(Audio.of([white.float() / PCM16])))
    found = profile(network, [white], [level])
    assert torch.allclose(found.exp(), torch.ones(33), atol=0.1)


def test_a_step_is_the_same_after_a_restart() -> None:
    check_restart(task, "network", "average")


def test_speech_without_a_crop_or_a_sound_says_so() -> None:
    for wave in (torch.ones(500), torch.zeros(50_000)):
        with pytest.raises(MelmoatError, match="no utterance has the 3200 samples"):
            task(sounds=[wave.short()])


def test_training_exports_weights_with_a_card_and_goes_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPE, steps=3, batch=2, seconds=0.1)
    whole, _ = train_diffusion(tmp_path / "whole", ["demo"], 1, recipe, SIZES)
    step = DiffusionTask.step

    def stopped(self: DiffusionTask, number: int) -> dict[str, float]:
        if number == 2:
            raise KeyboardInterrupt
        return step(self, number)

    monkeypatch.setattr(DiffusionTask, "step", stopped)
    run = loop.run
    monkeypatch.setattr(loop, "run", lambda *a, **k: run(*a, **k, save_seconds=0))
    with pytest.raises(KeyboardInterrupt):
        train_diffusion(tmp_path / "cut", ["demo"], 1, recipe, SIZES)
    monkeypatch.setattr(DiffusionTask, "step", step)
    path, scores = train_diffusion(tmp_path / "cut", ["demo"], 1, recipe, SIZES)
    assert path.read_bytes() == whole.read_bytes()
    card = read_header(path)["card"]
    assert card["trained_on"][0]["corpus"] == "demo"
    assert len(card["held_out_speakers"]) == 1
    assert card["recipe"]["steps"] == 3
    assert card["held_out_loss_10db"] == scores["held_out_loss_10db"]
    assert str(tmp_path) not in str(card)
    front = defenses.front_end(f"diffusion:snr=10,steps=2,weights={path}")
    audio = Audio.of([hums(1)[0].float() / PCM16])
    assert torch.isfinite(front(audio, Draws([1])).wav).all()
    with pytest.raises(MelmoatError, match="other settings"):
        train_diffusion(tmp_path / "cut", ["demo"], 1, replace(recipe, seed=1), SIZES)


def test_a_training_without_gradients_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    made = task()
    kept = {name: value.clone() for name, value in made.network.state_dict().items()}
    monkeypatch.setattr(
        diffusion, "errors", lambda *given: tuple(torch.nan * x for x in errors(*given))
    )
    for number in range(loop.PATIENCE - 1):
        made.step(number)
    again = task()
    again.restore(made.state())
    assert again.guard.skipped == loop.PATIENCE - 1
    with pytest.raises(MelmoatError, match="no gradient of the last 20 steps was finite"):
        made.step(0)
    assert all(torch.equal(value, kept[name]) for name, value in made.network.state_dict().items())


@pytest.mark.parametrize("skipped", [0, 3])
def test_the_command_says_how_many_steps_were_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skipped: int
) -> None:
    monkeypatch.setattr(diffusion, "DiffusionConfig", lambda: SIZES)
    real = diffusion.DiffusionTask

    def losing(*args: Any) -> DiffusionTask:
        task = real(*args)
        task.guard.skipped = skipped
        return task

    monkeypatch.setattr(diffusion, "DiffusionTask", losing)
    out = ["--out", str(tmp_path / "run"), "--data", "demo", "--held-out", "1", "--steps", "1"]
    done = CliRunner().invoke(app, ["train", "diffusion", *out, "--batch", "1"])
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert ("3 step(s) had no finite gradient and were skipped" in text) == bool(skipped)
    card = read_header(tmp_path / "run" / "model.safetensors")["card"]
    assert card.get("skipped_steps", 0) == skipped

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.training.asr import Recipe, Utterance, train_asr
from melmoat.training.teaching import divergence
from tests.conftest import tiny_config
from tests.training.test_asr import sounds, task


class Fixed:
    """A teacher that hears what it was given."""

    def __init__(self, logits: torch.Tensor, frames: list[int]) -> None:
        self.heard = logits.log_softmax(-1), torch.tensor(frames)

    def log_probs(self, audio: Audio, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        return self.heard


AUDIO = Audio.of([torch.zeros(400)] * 2)


def test_the_divergence_is_that_of_its_definition_and_ends_with_the_utterance() -> None:
    generator = torch.Generator().manual_seed(0)
    wanted, learnt = torch.randn(2, 2, 7, 5, generator=generator)
    found = divergence(Fixed(wanted, [7, 4]), AUDIO, learnt.log_softmax(-1))  # type: ignore[arg-type]
    p, q = wanted.softmax(-1), learnt.softmax(-1)
    each = (p * (p / q).log()).sum(-1)
    assert torch.allclose(found, torch.stack([each[0].sum(), each[1, :4].sum()]), atol=1e-5)
    same = divergence(Fixed(wanted, [7, 4]), AUDIO, wanted.log_softmax(-1))  # type: ignore[arg-type]
    assert torch.allclose(same, torch.zeros(2), atol=1e-6)


def test_its_gradient_leads_to_the_teacher() -> None:
    wanted, learnt = torch.randn(2, 1, 6, 4, generator=torch.Generator().manual_seed(1))
    learnt.requires_grad_(True)
    teacher = Fixed(wanted, [6])
    divergence(teacher, Audio.of([torch.zeros(400)]), learnt.log_softmax(-1)).sum().backward()  # type: ignore[arg-type, no-untyped-call]
    assert learnt.grad is not None
    assert torch.allclose(learnt.grad, learnt.softmax(-1) - wanted.softmax(-1), atol=1e-6)


def test_the_teacher_hears_no_noise_and_no_defense() -> None:
    quiet, loud = 1e-3 * torch.randn(400), torch.randn(400)
    made = task(defended=1.0, noise=1.0, teach=1.0)
    heard, clean = made._samples(Utterance(quiet, "A", loud), np.random.default_rng(0))
    bare = task(defended=0.0, noise=0.0)
    alone, _ = bare._samples(Utterance(quiet, "A"), np.random.default_rng(0))
    assert heard.shape == clean.shape
    assert heard.std() > 100 * clean.std()
    # One more number was drawn before, for the share that is defended.
    rng = np.random.default_rng(0)
    rng.random()
    alone, _ = bare._samples(Utterance(quiet, "A"), rng)
    assert torch.equal(clean, alone)


def test_a_taught_pupil_hears_through_noise_what_its_teacher_hears_without() -> None:
    taught = task(epochs=30, teach=1.0, noise=1.0, loudest=-10, faintest=-10, join=0.0, extra=0.0)
    trained = task(epochs=16, noise=0.0, join=0.0, extra=0.0)
    for number in range(trained.steps):
        trained.step(number)
    assert taught.teacher is not None
    for model in (taught.model, taught.teacher):
        model.load_state_dict(trained.model.state_dict())
    before = {name: value.clone() for name, value in taught.teacher.state_dict().items()}
    clean = Audio.of([utterance.wave for utterance in sounds(8)])
    draws = Draws(range(8))
    noise = clean.with_wav(clean.wav + 0.22 * draws.normal(clean.wav))

    def apart(pupil: DeepSpeech2) -> float:
        with torch.no_grad():
            log_probs, _ = pupil.eval().log_probs(noise, draws)
        return float(divergence(taught.teacher, clean, log_probs).mean())  # type: ignore[arg-type]

    first = apart(taught.model)  # type: ignore[arg-type]
    for number in range(taught.steps):
        taught.step(number)
    assert apart(taught.model) < 0.5 * first  # type: ignore[arg-type]
    for name, value in taught.teacher.state_dict().items():
        assert torch.equal(value, before[name])


def test_without_a_start_there_is_no_teacher(tmp_path: Path) -> None:
    recipe = replace(Recipe(epochs=1), teach=1.0)
    with pytest.raises(MelmoatError, match="--teach needs --start"):
        train_asr(tmp_path, ["demo"], [], 1, tiny_config(layers=1), recipe)
    assert not list(tmp_path.iterdir())

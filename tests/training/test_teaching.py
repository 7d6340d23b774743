from pathlib import Path

import numpy as np
import pytest
import torch

from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2, checkpoints
from melmoat.training.asr import Recipe, train_asr
from melmoat.training.examples import Utterance
from melmoat.training.teaching import Teacher
from tests.conftest import tiny_config
from tests.training.test_asr import sounds, task


class Written:
    """A recognizer that shows nothing but its transcripts."""

    kind, rate = "text", 16_000

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["A"] * len(audio)

    def loss(self, audio: Audio, texts: list[str], draws: Draws) -> torch.Tensor:
        return audio.wav.sum(1)


def teacher(model: DeepSpeech2, tmp_path: Path) -> Teacher:
    checkpoints.save(tmp_path / "teacher.safetensors", model, {}, False)
    return Teacher(f"deepspeech2:{tmp_path / 'teacher.safetensors'}", model, "cpu")


def heard(model: DeepSpeech2, audio: Audio) -> torch.Tensor:
    with torch.no_grad():
        return model.eval().log_probs(audio, Draws(range(len(audio))))[0]


def tones(n: int) -> Audio:
    return Audio.of([utterance.wave for utterance in sounds(n)])


def test_the_divergence_is_that_of_its_definition_and_ends_with_the_utterance(
    tiny: DeepSpeech2, tmp_path: Path
) -> None:
    audio = tones(3)
    wanted = heard(tiny, audio)
    learnt = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    found = teacher(tiny, tmp_path)(audio, learnt)
    p, q = wanted.exp(), learnt.exp()
    each = (p * (p / q).log()).sum(-1)
    _, frames = tiny.log_probs(audio, Draws(range(3)))
    assert len(set(frames.tolist())) > 1
    expected = [row[:n].sum() for row, n in zip(each, frames.tolist(), strict=True)]
    assert torch.allclose(found, torch.stack(expected), rtol=1e-4)
    assert torch.allclose(teacher(tiny, tmp_path)(audio, wanted), torch.zeros(3), atol=1e-4)


def test_its_gradient_leads_to_the_teacher(tiny: DeepSpeech2, tmp_path: Path) -> None:
    audio = tones(1)
    wanted = heard(tiny, audio)
    learnt = torch.randn(wanted.shape).requires_grad_(True)
    teacher(tiny, tmp_path)(audio, learnt.log_softmax(-1)).sum().backward()
    assert learnt.grad is not None
    assert torch.allclose(learnt.grad, learnt.softmax(-1) - wanted.exp(), atol=1e-5)


def test_the_teacher_hears_no_noise_and_no_defense(tiny: DeepSpeech2, tmp_path: Path) -> None:
    quiet, loud = 1e-3 * torch.randn(400), torch.randn(400)
    made = task(defended=1.0, noise=1.0)
    made.teacher = teacher(tiny, tmp_path)
    noisy, clean = made._samples(Utterance(quiet, "A", loud), np.random.default_rng(0))
    assert noisy.shape == clean.shape
    assert noisy.std() > 100 * clean.std()
    bare, rng = task(defended=0.0, noise=0.0), np.random.default_rng(0)
    rng.random()  # which decided above whether the utterance is defended
    alone, _ = bare._samples(Utterance(quiet, "A"), rng)
    assert torch.equal(clean, alone)


def test_a_taught_pupil_hears_through_noise_what_its_teacher_hears_without(tmp_path: Path) -> None:
    trained = task(epochs=16, noise=0.0, join=0.0, extra=0.0)
    for number in range(trained.steps):
        trained.step(number)
    taught = task(epochs=30, noise=1.0, loudest=-10, faintest=-10, join=0.0, extra=0.0)
    pupil = taught.model
    assert isinstance(trained.model, DeepSpeech2)
    assert isinstance(pupil, DeepSpeech2)
    pupil.load_state_dict(trained.model.state_dict())
    taught.teacher = teacher(trained.model, tmp_path)
    clean = tones(8)
    noise = clean.with_wav(clean.wav + 0.22 * Draws(range(8)).normal(clean.wav))

    def apart() -> float:
        assert taught.teacher is not None
        return float(taught.teacher(clean, heard(pupil, noise)).mean())

    first = apart()
    for number in range(taught.steps):
        taught.step(number)
    assert apart() < 0.5 * first


@pytest.mark.parametrize(
    "other",
    [
        "python:tests.attacks.toys:Frames",  # one frame fewer
        "python:tests.checking.own:Letters",  # other letters
        "python:tests.training.test_teaching:Written",  # no frames
    ],
)
def test_another_kind_of_recognizer_cannot_teach(other: str, tmp_path: Path) -> None:
    with pytest.raises(MelmoatError, match="cannot teach this recognizer"):
        train_asr(tmp_path, ["demo"], [], 1, tiny_config(), Recipe(epochs=1), teacher=other)
    assert not list(tmp_path.iterdir())

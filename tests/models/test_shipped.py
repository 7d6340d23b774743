"""The weights that ship are as good as their card says, and exact in ragged batches."""

import json
from pathlib import Path

import pytest
import torch

from melmoat import attacks, data, defenses, models
from melmoat.assets import asset
from melmoat.attacks import Untargeted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.metrics.errors import word_edits
from melmoat.models import DeepSpeech2, Recognizer
from melmoat.weights import read_header

SHIPPED = [
    "conformer-lab",
    "ds2-an4",
    "ds2-an4-mg",
    "ds2-an4-wg",
    "ds2-an4-wgn",
    "ds2-an4-noise",
    "hama-mg",
    "hama-wg",
    "hama-wgn",
    "hama-at",
]


@pytest.fixture(scope="module")
def model() -> DeepSpeech2:
    loaded = models.load("ds2-an4")
    assert isinstance(loaded, DeepSpeech2)
    return loaded


@pytest.fixture(scope="module")
def speech() -> tuple[Audio, list[str]]:
    """A ragged batch of shipped speech."""
    cuts = list(data.load("demo"))[::5]
    return data.read(cuts), [cut.supervisions[0].text for cut in cuts]


def wer(model: Recognizer, spec: str, every: int = 1) -> float:
    edits = words = 0
    cuts = sorted(data.load(spec), key=lambda c: c.duration)[::every]
    for i in range(0, len(cuts), 16):
        batch = cuts[i : i + 16]
        heard = model.transcribe(data.read(batch), Draws(range(len(batch))))
        for cut, text in zip(batch, heard, strict=True):
            wrong, total = word_edits(cut.supervisions[0].text, text)
            edits, words = edits + wrong, words + total
    return 100 * edits / words


@pytest.mark.parametrize("name", SHIPPED)
def test_size_and_card(name: str) -> None:
    path = asset(f"{name}.safetensors")
    assert path.stat().st_size <= 25_000_000
    header = read_header(path)
    assert header["card"]["trained_on"]
    assert '"/' not in json.dumps(header)  # no path of the machine that trained it


def test_wer_on_the_demo_corpus(model: DeepSpeech2) -> None:
    assert wer(model, "demo") <= 12


@pytest.mark.parametrize(
    ("name", "vocoder", "most"),
    [
        ("ds2-an4-mg", "melgan-lab", 12),
        pytest.param("ds2-an4-wg", "pwg-lab", 20, marks=pytest.mark.slow),
    ],
)
def test_wer_through_the_vocoder_it_was_tuned_for(name: str, vocoder: str, most: float) -> None:
    tuned = defenses.build(f"resynth:vocoder={vocoder}").wrap(models.load(name))
    assert wer(tuned, "demo") <= most


@pytest.mark.slow
def test_wer_of_letters_on_open_speech(shared: Path) -> None:
    pytest.importorskip("pocketsphinx", reason="needs the extra words")
    spec = f"tsv:{shared}/data/librispeech/dev-clean-mp3,shortest=2,longest=8"
    assert wer(models.load("conformer-lab:decoder=lexicon"), spec, every=7) <= 30


@pytest.mark.slow
def test_wer_on_an4(model: DeepSpeech2, shared: Path) -> None:
    assert wer(model, f"an4:{shared / 'data' / 'an4' / 'test'}") <= 12


def gradient(
    model: DeepSpeech2, audio: Audio, texts: list[str]
) -> tuple[torch.Tensor, torch.Tensor]:
    wav = audio.wav.clone().requires_grad_()
    losses = model.loss(Audio(wav, audio.lengths), texts, Draws(range(len(audio))))
    return losses.detach(), torch.autograd.grad(losses.sum(), wav)[0]


def test_a_ragged_batch_equals_its_singles(
    model: DeepSpeech2, speech: tuple[Audio, list[str]]
) -> None:
    audio, texts = speech
    losses, grads = gradient(model, audio, texts)
    heard = model.transcribe(audio, Draws(range(len(audio))))
    for i, wave in enumerate(audio):
        loss, grad = gradient(model, Audio.of([wave]), texts[i : i + 1])
        assert torch.allclose(losses[i], loss[0], rtol=1e-5)
        assert (grads[i, : len(wave)] - grad[0]).norm() <= 1e-5 * grad.norm()
        assert model.transcribe(Audio.of([wave]), Draws([i])) == [heard[i]]


@pytest.mark.slow
def test_four_steps_of_pgd_agree_within_one_percent(
    model: DeepSpeech2, speech: tuple[Audio, list[str]]
) -> None:
    audio, texts = speech
    attack = attacks.build("pgd:norm=snr,db=25,steps=4")
    out = attack(model, audio, Untargeted(texts), Draws(range(len(audio))))
    for i, wave in enumerate(audio):
        alone = attack(model, Audio.of([wave]), Untargeted(texts[i : i + 1]), Draws([i]))
        delta = alone.wav[0] - wave
        assert (out.wav[i, : len(wave)] - alone.wav[0]).norm() <= 0.01 * delta.norm()


def test_the_attack_beats_noise_of_its_size(
    model: DeepSpeech2, speech: tuple[Audio, list[str]]
) -> None:
    audio, texts = speech
    wrong = {}
    for spec in ("noise:norm=snr,db=20", "pgd:norm=snr,db=20,steps=10"):
        out = attacks.build(spec)(model, audio, Untargeted(texts), Draws(range(len(audio))))
        heard = model.transcribe(out, Draws(range(len(audio))))
        wrong[spec] = sum(word_edits(a, b)[0] for a, b in zip(texts, heard, strict=True))
    noise, crafted = wrong.values()
    assert crafted >= noise + 10

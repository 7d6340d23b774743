"""Recognizers of pieces: their features and losses are transformers' own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from melmoat import models
from melmoat.audio import RATE, Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.text import TextError

transformers = pytest.importorskip("transformers", reason="needs the extra hf")
tiny_pieces = pytest.importorskip("tests.models.tiny_pieces")
hf_pieces = pytest.importorskip("melmoat.models.hf_pieces")

KINDS = ["lasr", "omniasr", "parakeet"]


def noise(samples: int) -> torch.Tensor:
    return torch.randn(samples, generator=torch.Generator().manual_seed(samples)) * 0.1


def features(kind: str, extractor: Any, wav: torch.Tensor) -> torch.Tensor:
    made: torch.Tensor = hf_pieces.FEATURES[f"{kind}_ctc"](extractor, wav)[0]
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_features_are_the_extractors(kind: str) -> None:
    _, extractor, _ = tiny_pieces.parts(kind)
    for samples in (1_600, 8_000, 12_345):
        wave = noise(samples)
        given = extractor(wave.numpy(), sampling_rate=RATE, return_tensors="pt")
        expected = given[extractor.model_input_names[0]]
        assert torch.allclose(features(kind, extractor, wave[None]), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_silence_has_a_finite_gradient(kind: str) -> None:
    _, extractor, _ = tiny_pieces.parts(kind)
    wav = torch.zeros(2, 3_000)
    wav[1, :1_000] = noise(1_000)  # and speech that stops
    wav.requires_grad_()
    made = features(kind, extractor, wav)
    (grad,) = torch.autograd.grad(made.square().sum(), wav)
    assert torch.isfinite(made).all()
    assert torch.isfinite(grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_losses_and_texts_are_the_references(kind: str, tmp_path: Path) -> None:
    network, extractor, tokenizer = tiny_pieces.parts(kind)
    model = models.load(f"hf-ctc:{tiny_pieces.save(kind, tmp_path / kind)}")
    waves = [noise(n) for n in (9_000, 16_000, 12_345)]
    texts = ["GO ON", "A", "it's"]
    losses = model.loss(Audio.of(waves), texts, Draws(range(3)))
    heard = model.transcribe(Audio.of(waves), Draws(range(3)))
    for wave, text, loss, found in zip(waves, texts, losses, heard, strict=True):
        options = {"return_tensors": "pt", "return_attention_mask": True}
        given = extractor([wave.numpy()], sampling_rate=RATE, **options)
        ids = tokenizer(text.lower(), add_special_tokens=False, return_tensors="pt").input_ids
        network.config.ctc_loss_reduction = "sum"
        expected = network(**given, labels=ids).loss
        assert loss.item() == pytest.approx(expected.item(), rel=1e-3)
        best = network.generate(**given)
        assert found == " ".join(tokenizer.batch_decode(best, skip_special_tokens=True)[0].split())
    assert len(set(heard)) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_errors_say_what_to_do(kind: str, tmp_path: Path) -> None:
    folder = tiny_pieces.save(kind, tmp_path / kind)
    with pytest.raises(MelmoatError, match="pieces of words, which are decoded greedily"):
        models.load(f"hf-ctc:{folder},beam=2")
    model = models.load(f"hf-ctc:{folder}")
    with pytest.raises(TextError, match="characters that this recognizer never writes"):
        model.loss(Audio.of([noise(9_000)]), ["é"], Draws([0]))

"""Denoisers as front-ends: any length and rate, before any recognizer, known by their weights."""

import re
from pathlib import Path

import pytest
import torch

from melmoat import defenses
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.defenses import DEFENSES, front_end
from melmoat.denoisers import dtln_files, packages
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from tests.denoisers import writing

TEXTS = ["GO ON", "ENTER SIX", "A"]
SEEDS = (5, 6, 7)
SPECS = ["denoise:dtln,weights={dtln}", "denoise:gtcrn,weights={gtcrn}"]


@pytest.fixture(params=SPECS)
def spec(request: pytest.FixtureRequest, vocoder_files: dict[str, str]) -> str:
    return str(request.param.format(**vocoder_files))


@pytest.mark.parametrize("rate", [16_000, 8_000, 22_050])
def test_audio_of_a_few_samples_and_of_other_rates_keeps_its_length(spec: str, rate: int) -> None:
    torch.manual_seed(0)
    waves = [0.1 * torch.randn(length) for length in (1, 2, 129, 1_000)]
    audio = Audio.of(waves, rate)
    wav = audio.wav.requires_grad_()
    heard = front_end(spec)(Audio(wav, audio.lengths, rate), Draws(range(4)))
    assert heard.rate == rate
    assert heard.wav.shape == audio.wav.shape
    assert heard.wav.dtype == torch.float32
    (slope,) = torch.autograd.grad(heard.wav.square().sum(), wav)
    assert torch.isfinite(slope).all()
    assert slope[:, 0].ne(0).all()


def test_digital_silence_inside_speech_has_a_gradient(spec: str) -> None:
    """Frames of zeros: no magnitude or phase there has a slope of its own."""
    torch.manual_seed(0)
    wav = torch.cat([0.1 * torch.randn(1_000), torch.zeros(2_000), 0.1 * torch.randn(1_000)])
    wav = wav[None].requires_grad_()
    heard = front_end(spec)(Audio(wav, torch.tensor([4_000])), Draws([0])).wav
    (slope,) = torch.autograd.grad(heard.square().sum(), wav)
    assert torch.isfinite(heard).all()
    assert torch.isfinite(slope).all()


def test_the_gradient_of_a_recognizer_goes_through_it_and_through_noise_before_it(
    tiny: DeepSpeech2, ragged: Audio, spec: str
) -> None:
    behind = front_end(spec).wrap(tiny)
    for system in (behind, front_end("wgn:snr=15").wrap(behind)):
        wav = ragged.wav.clone().requires_grad_()
        losses = system.loss(Audio(wav, ragged.lengths), TEXTS, Draws(SEEDS))
        (slope,) = torch.autograd.grad(losses.sum(), wav)
        assert slope.any(1).all()
        alone = system.loss(ragged.pick([0]), TEXTS[:1], Draws(SEEDS[:1]))
        assert torch.allclose(alone, losses[:1], rtol=1e-4)
    assert not torch.allclose(losses, tiny.loss(ragged, TEXTS, Draws(SEEDS)))


def test_bpda_is_the_identity_backwards(ragged: Audio, spec: str) -> None:
    wav = ragged.wav.clone().requires_grad_()
    heard = front_end(f"{spec},gradient=bpda")(Audio(wav, ragged.lengths), Draws(SEEDS)).wav
    assert torch.allclose(heard, front_end(spec)(ragged, Draws(SEEDS)).wav, atol=1e-6)
    (slope,) = torch.autograd.grad(heard.sum(), wav)
    assert torch.equal(slope, ragged.mask.float())


def test_there_is_nothing_to_vote_on(spec: str) -> None:
    with pytest.raises(MelmoatError, match="are the same"):
        defenses.build(f"voted:({spec})")


def test_a_cell_knows_it_by_the_contents_of_its_weights(tmp_path: Path) -> None:
    for name in ("a", "b"):
        writing.dtln(tmp_path / name)

    def known(name: str) -> str:
        return identity(DEFENSES.parse(f"denoise:dtln,weights={tmp_path / name}"))

    before = known("a")
    assert before == known("b")
    writing.write_onnx(tmp_path / "b" / "model_2.onnx", {"other": torch.ones(1)})
    assert before != known("b")
    writing.gtcrn(tmp_path / "c.tar")
    spec = DEFENSES.parse(f"denoise:gtcrn,weights={tmp_path / 'c.tar'}")
    assert str(tmp_path) not in identity(spec)


def test_without_its_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise packages.PackageNotFoundError(name)

    monkeypatch.setattr(packages, "distribution", missing)
    with pytest.raises(MelmoatError, match=re.escape(dtln_files.CARRIER.install)):
        defenses.build("denoise:dtln")

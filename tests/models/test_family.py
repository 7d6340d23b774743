"""Invariants of every kind of recognizer, by spec string."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat import defenses, models
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.draws import Draws
from melmoat.models import MODELS, DeepSpeech2, Recognizer, checkpoints
from melmoat.models.custom import faults
from melmoat.models.hama import letters
from melmoat.models.hama import load as hama_load
from tests.models.hama.writing import save_wheel
from tests.models.test_checkpoints import published
from tests.models.test_shipped import SHIPPED
from tests.models.tiny_hf import tiny_hf

SEEDS = (5, 6, 7)
TEXTS = ["GO ON", "ENTER SIX", "A"]
SPECS = [
    "deepspeech2:{ds2}",
    "deepspeech2:{ds2},beam=2",
    "deepspeech.pytorch:{published}",
    "hama:conformer",
    "hama:conformer,decoder=phonemes",
    "hama:se,wheel={hama},decoder=phonemes",
    "hama-letters:weights={letters}",
    "hama-letters:weights={letters},beam=2",
    "hf-ctc:{wav2vec2}",
    "hf-ctc:{wavlm-large},beam=2",
    "hf-ctc:{lasr}",
    "hf-ctc:{omniasr}",
    "hf-ctc:{parakeet}",
    "moonshine:{moonshine}",
    "moonshine:{moonshine},beam=2",
    "python:own_recognizer:load",
    "speecht5:{speecht5}",
    "speecht5:{speecht5},beam=2",
    "whisper:{whisper}",
]
ELSEWHERE = {*SHIPPED, "spoken-language"}  # that one writes codes of languages: test_whisper.py


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, DeepSpeech2], str]:
    """A spec with its files, which are made when first asked for."""
    home: Path = tmp_path_factory.mktemp("models")

    def made(spec: str, tiny: DeepSpeech2) -> str:
        if "{ds2}" in spec:
            checkpoints.save(home / "ds2", tiny, {})
        elif "{published}" in spec:
            torch.save({"state_dict": published(tiny), "labels": tiny.labels}, home / "published")
        elif spec.startswith("hama"):
            pytest.importorskip("hama", reason="needs the extra hama")
            pytest.importorskip("pocketsphinx", reason="needs the extra hama")
            if "{hama}" in spec and not (home / "hama").exists():
                save_wheel(home / "hama")
            if "{letters}" in spec and not (home / "letters").exists():
                letters.save(home / "letters", letters.untrained(hama_load.load("conformer")), {})
        elif spec.startswith("hf-ctc"):
            pytest.importorskip("transformers", reason="needs the extra hf")
            kind = spec.partition("{")[2].partition("}")[0]
            if kind in ("lasr", "omniasr", "parakeet"):
                tiny_pieces = pytest.importorskip("tests.models.tiny_pieces", reason="extra hf")
                tiny_pieces.save(kind, home / kind)
            elif not (home / kind).exists():
                (home / f"{kind} vocabulary").mkdir()
                tiny_hf(kind, home / f"{kind} vocabulary").save(home / kind)
        elif spec.startswith("moonshine") and not (home / "moonshine").exists():
            tiny_moonshine = pytest.importorskip("tests.models.tiny_moonshine", reason="extra hf")
            tiny_moonshine.save(home / "moonshine", tiny_moonshine.network())
        elif spec.startswith("speecht5") and not (home / "speecht5").exists():
            tiny_speecht5 = pytest.importorskip("tests.models.tiny_speecht5", reason="extra hf")
            tiny_speecht5.save(home / "speecht5", tiny_speecht5.network())
        elif spec.startswith("whisper") and not (home / "whisper").exists():
            tiny_whisper = pytest.importorskip("tests.models.tiny_whisper", reason="extra hf")
            tiny_whisper.save(home / "whisper", tiny_whisper.network())
        return spec.replace("{", f"{home}/").replace("}", "")

    return made


@pytest.fixture
def build(
    files: Callable[[str, DeepSpeech2], str], tiny: DeepSpeech2, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Recognizer]:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")

    def load(spec: str) -> Recognizer:
        return models.load(files(spec, tiny))

    return load


def gradient(model: Recognizer, audio: Audio, texts: list[str]) -> tuple[Tensor, Tensor]:
    wav = audio.wav.clone().requires_grad_()
    losses = model.loss(replace(audio, wav=wav), texts, Draws(SEEDS[: len(audio)]))
    return losses.detach(), torch.autograd.grad(losses.sum(), wav)[0]


def doubled(model: Recognizer) -> Recognizer:
    for part in (model, *vars(model).values()):
        if isinstance(part, nn.Module):
            part.double()
    return model


Build = Callable[[str], Recognizer]


@pytest.mark.parametrize("spec", SPECS)
class TestRecognizers:
    def test_it_is_one(self, spec: str, build: Build) -> None:
        assert faults(build(spec)) == []

    def test_a_batch_equals_its_singles(self, spec: str, build: Build, ragged: Audio) -> None:
        model = doubled(build(spec))
        audio = Audio(ragged.wav.double(), ragged.lengths)
        losses, grads = gradient(model, audio, TEXTS)
        heard = model.transcribe(audio, Draws(SEEDS))
        for i, wave in enumerate(audio):
            loss, grad = gradient(model, Audio.of([wave]), TEXTS[i : i + 1])
            assert torch.allclose(losses[i], loss[0], rtol=1e-9)
            assert (grads[i, : len(wave)] - grad[0]).norm() <= 1e-8 * grad.norm()
            assert model.transcribe(Audio.of([wave]), Draws([SEEDS[i]])) == [heard[i]]

    def test_more_padding_changes_nothing(self, spec: str, build: Build, ragged: Audio) -> None:
        model = doubled(build(spec))
        audio = Audio(ragged.wav.double(), ragged.lengths)
        padded = Audio(F.pad(audio.wav, (0, 777)), audio.lengths)
        losses, grads = gradient(model, audio, TEXTS)
        more, longer = gradient(model, padded, TEXTS)
        assert torch.allclose(losses, more, rtol=1e-9)
        assert torch.allclose(grads, longer[:, : grads.shape[1]], rtol=1e-6, atol=1e-9)

    def test_the_gradient_is_the_derivative(self, spec: str, build: Build, ragged: Audio) -> None:
        model = doubled(build(spec))
        audio = Audio(ragged.wav.double(), ragged.lengths)
        _, grad = gradient(model, audio, TEXTS)
        torch.manual_seed(3)
        direction, h = torch.randn_like(audio.wav) * audio.mask, 1e-8
        up, _ = gradient(model, audio.with_wav(audio.wav + h * direction), TEXTS)
        down, _ = gradient(model, audio.with_wav(audio.wav - h * direction), TEXTS)
        numeric = (up - down) / (2 * h)
        assert torch.allclose((grad * direction).sum(1), numeric, rtol=1e-3, atol=1e-4)

    def test_silence_has_finite_losses_and_gradients(self, spec: str, build: Build) -> None:
        losses, grad = gradient(build(spec), Audio.of([torch.zeros(4_000)]), [""])
        assert torch.isfinite(losses).all()
        assert torch.isfinite(grad).all()

    def test_another_device_gives_the_same(
        self, spec: str, build: Build, ragged: Audio, device: str
    ) -> None:
        model = doubled(build(spec))
        audio = Audio(ragged.wav.double(), ragged.lengths).pick([0, 2])
        losses, grads = gradient(model, audio, TEXTS[:2])
        heard = model.transcribe(audio, Draws(SEEDS[:2]))
        there = audio.to(device)
        losses_there, grads_there = gradient(model, there, TEXTS[:2])
        assert losses_there.device.type == device
        assert torch.allclose(losses_there.cpu(), losses, rtol=1e-9)
        assert (grads_there.cpu() - grads).norm() <= 1e-8 * grads.norm()
        assert model.transcribe(there, Draws(SEEDS[:2])) == heard

    def test_it_is_frozen_and_draws_only_from_its_streams(
        self, spec: str, build: Build, ragged: Audio
    ) -> None:
        model = build(spec)
        for part in (model, *vars(model).values()):
            if isinstance(part, nn.Module):
                assert not any(p.requires_grad for p in part.parameters())
        state = torch.get_rng_state()
        first, again = (model.loss(ragged, TEXTS, Draws(SEEDS)) for _ in range(2))
        assert torch.equal(first, again)
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize("vote", ["mean", "rover"])
    def test_it_can_be_smoothed(self, spec: str, build: Build, ragged: Audio, vote: str) -> None:
        smoothed = defenses.build(f"rs:snr=10,votes=3,vote={vote}").wrap(build(spec))
        losses, grad = gradient(smoothed, ragged, TEXTS)
        assert torch.isfinite(losses).all()
        assert (grad.norm(dim=1) > 0).all()
        assert len(smoothed.transcribe(ragged, Draws(SEEDS))) == 3


def test_a_cell_is_what_the_name_stands_for(
    build: Build, files: Callable[[str, DeepSpeech2], str], tiny: DeepSpeech2, tmp_path: Path
) -> None:
    spec = files("hf-ctc:{wav2vec2}", tiny)
    shutil.copytree(spec.partition(":")[2], tmp_path / "copy")
    copy = MODELS.parse(f"hf-ctc:{tmp_path / 'copy'}")
    first = identity(copy)
    assert first == identity(MODELS.parse(spec))
    assert str(tmp_path) not in first
    (tmp_path / "copy" / "melmoat.json").write_text("{}")
    assert identity(copy) == first
    (tmp_path / "copy" / "config.json").write_text("{}")
    assert identity(copy) != first
    hub = [identity(MODELS.parse(f"hf-ctc:a/{name},revision={'1' * 40}")) for name in "bc"]
    assert hub[0] != hub[1]
    own = [identity(MODELS.parse(f"python:own_recognizer:{name}")) for name in ("load", "Own")]
    assert own[0] != own[1]
    assert "load" in own[0]
    assert "own_recognizer:" not in own[0]  # its file counts instead


def test_every_recognizer_is_tested_here() -> None:
    assert {s.partition(":")[0] for s in SPECS} | ELSEWHERE == set(models.MODELS.table)

"""Fine-tuning networks of transformers, as tiny random ones, and hama's."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from melmoat import data, models
from melmoat.assets import asset
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.cli.app import app
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import MODELS, DeepSpeech2
from melmoat.models.base import frames_needed
from melmoat.models.hama import letters
from melmoat.models.hf_ctc import HFCTC
from melmoat.training import trainable
from melmoat.training.asr import ASRTask, Recipe
from melmoat.training.examples import Utterance, utterances
from melmoat.weights import WeightsError
from tests.models.tiny_hf import tiny_hf

pytest.importorskip("transformers", reason="needs the extra hf")


@pytest.fixture(params=["wav2vec2", "hubert-large"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    tiny_hf(request.param, tmp_path).save(tmp_path / "start")
    return tmp_path / "start"


def task(folder: Path, **changes: object) -> ASRTask:
    generator = torch.Generator().manual_seed(0)
    waves = [0.1 * torch.randn(6_000 + 500 * i, generator=generator) for i in range(8)]
    examples = [Utterance(w, "GO" if i % 2 else "NO") for i, w in enumerate(waves)]
    recipe = Recipe(**{"epochs": 4, "batch": 4, "lr": 1e-2, "noise": 0.0, **changes})  # type: ignore[arg-type]
    return ASRTask(trainable.take(f"hf-ctc:{folder}"), examples, [], examples, recipe)


def test_the_loss_falls_and_the_first_convolutions_stay(folder: Path) -> None:
    made = task(folder, average=0.0)
    model = made.model
    assert isinstance(model, HFCTC)
    before = {k: v.clone() for k, v in model.network.named_parameters()}
    losses = [made.step(n)["loss"] for n in range(made.steps)]
    assert losses[-1] < 0.8 * losses[0]
    for name, value in model.network.named_parameters():
        fixed = "feature_extractor" in name or "masked_spec_embed" in name
        assert torch.equal(value, before[name]) == fixed, name
    assert not any(p.requires_grad for p in made.average.parameters())


def test_a_step_is_the_same_after_a_restart(folder: Path) -> None:
    whole, cut = task(folder), task(folder)
    for number in range(4):
        whole.step(number)
    for number in range(2):
        cut.step(number)
    resumed = task(folder)
    resumed.restore(cut.state())
    for number in (2, 3):
        resumed.step(number)
    for a, b in zip(
        whole.state()["model"].values(), resumed.state()["model"].values(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_network_that_ran_away_is_not_written(folder: Path, tmp_path: Path) -> None:
    model = trainable.take(f"hf-ctc:{folder}")
    assert isinstance(model, HFCTC)
    with torch.no_grad():
        model.network.lm_head.weight[0, 0] = torch.inf
    with pytest.raises(MelmoatError, match=r"lm_head\.weight of the network are NaN or Inf"):
        trainable.method_of(model).export(model, tmp_path, {}, half=False)
    assert not (tmp_path / "model").exists()


def test_the_command_fine_tunes_on_resynthesised_speech(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    few = f"tsv:{asset('demo')},longest=2"
    words = ["train", "asr", "--model", f"hf-ctc:{folder}", "--data", few, "--out", str(out),
             "--epochs", "1", "--batch", "8", "--held-out", "1", "--noise", "0",
             "--defense", "resynth:vocoder=griffin-lim:iterations=1"]  # fmt: skip
    result = CliRunner().invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0
    assert f"Use it as hf-ctc:{out / 'model'}" in result.stdout.replace("\n", "")
    tuned, start = models.load(f"hf-ctc:{out / 'model'}"), models.load(f"hf-ctc:{folder}")
    assert isinstance(tuned, HFCTC)
    assert isinstance(start, HFCTC)
    assert tuned.labels == start.labels
    assert not torch.equal(tuned.network.lm_head.weight, start.network.lm_head.weight)
    assert tuned.card["start"] == identity(MODELS.parse(f"hf-ctc:{folder}"))
    assert tuned.card["recipe"]["lr"] == 3e-5
    assert tuned.card["defense"].startswith("resynth")
    assert str(tmp_path) not in json.dumps(tuned.card)
    assert len(tuned.card["held_out_speakers"]) == 1
    assert "clean_wer" in (out / "log.jsonl").read_text()
    assert not (out / "model.partial").exists()
    again = trainable.take(f"hf-ctc:{out / 'model'}")
    assert again.card == tuned.card


@pytest.mark.parametrize("seconds", [0.1, 0.337, 1.0])
def test_frames_are_those_that_the_network_gives(
    folder: Path, tiny: DeepSpeech2, seconds: float
) -> None:
    samples = round(16_000 * seconds)
    for model in (trainable.take(f"hf-ctc:{folder}"), tiny):
        _, frames = model.log_probs(Audio.of([torch.randn(samples)]), Draws([0]))
        assert trainable.method_of(model).frames(model, samples) == frames[0]


def test_what_counts_as_fitting_can_be_learnt_from(folder: Path) -> None:
    made = task(folder)
    model, rng = made.model, np.random.default_rng(0)
    for length in range(2_000, 2_700, 50):
        text = "ABCDEFGHIJ"[: trainable.method_of(model).frames(model, int(length / 1.12)) - 1]
        assert frames_needed(text) >= 3
        heard = Audio.of([torch.randn(round(length / 1.12))])
        made_of = trainable.method_of(model).hear(model, heard, rng)
        assert torch.isfinite(model.loss_of(*made_of, [text])).all()


def test_half_precision_and_another_rate_are_refused(folder: Path) -> None:
    with pytest.raises(MelmoatError, match="leave out --half"):
        trainable.take(f"hf-ctc:{folder}", half=True)
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    (folder / "preprocessor_config.json").write_text(
        json.dumps(settings | {"sampling_rate": 8_000})
    )
    with pytest.raises(MelmoatError, match="takes 8000 Hz audio; training reads 16000 Hz"):
        trainable.take(f"hf-ctc:{folder}")


def test_a_recognizer_of_phonemes_learns_and_is_stored(tmp_path: Path) -> None:
    pytest.importorskip("hama", reason="needs the extra hama")
    pytest.importorskip("pocketsphinx", reason="needs the extra hama")
    cuts = list(data.load("demo"))[:2]
    model = trainable.take("hama:conformer,decoder=phonemes", half=True)
    examples = utterances(cuts, model)
    task = ASRTask(model, examples, [], examples, Recipe(epochs=2, batch=2, lr=1e-4))
    assert (task.pairs, task.steps) == (0, 2)
    before = [weight.clone() for weight in task.learnt]
    assert all(math.isfinite(task.step(number)["loss"]) for number in range(task.steps))
    assert any(not torch.equal(a, b) for a, b in zip(before, task.learnt, strict=True))
    method = trainable.method_of(model)
    path = method.export(task.model, tmp_path, {"held_out_speakers": ["x"]}, half=True)
    spec = trainable.spec_of(path)
    assert spec == f"hama:conformer,weights={path}"
    stored = models.load(f"{spec},decoder=phonemes")
    assert stored.card == {"held_out_speakers": ["x"]}  # type: ignore[attr-defined]
    audio = data.read(cuts)
    logs, frames = model.log_probs(audio, Draws([0, 1]))
    again, _ = stored.log_probs(audio, Draws([0, 1]))  # type: ignore[attr-defined]
    assert int(frames[0]) == method.frames(model, int(audio.lengths[0]))
    assert torch.allclose(logs.exp(), again.exp(), atol=0.05)  # 16-bit weights
    with pytest.raises(WeightsError, match="expected hama se"):
        models.load(f"hama:se,weights={path}")
    with pytest.raises(MelmoatError, match="leave out wheel"):
        models.load(f"{spec},wheel={path}")


def test_a_recognizer_of_letters_learns_and_is_stored(tmp_path: Path) -> None:
    pytest.importorskip("hama", reason="needs the extra hama")
    pytest.importorskip("pocketsphinx", reason="needs the extra hama")
    cuts = list(data.load("demo"))[:4]
    model = trainable.take("hama-letters", half=True)
    examples = utterances(cuts, model)
    task = ASRTask(model, examples, [], examples, Recipe(epochs=6, batch=4, lr=5e-4, noise=0))
    assert (task.pairs, task.steps) == (0, 6)
    audio, texts = data.read(cuts), [example.text for example in examples]
    before = model.loss(audio, texts, Draws(range(4))).mean()
    assert all(math.isfinite(task.step(number)["loss"]) for number in range(task.steps))
    assert model.loss(audio, texts, Draws(range(4))).mean() < 0.8 * before
    method = trainable.method_of(model)
    path = method.export(task.model, tmp_path, {"held_out_speakers": ["x"]}, half=True)
    spec = trainable.spec_of(path)
    assert spec == f"hama-letters:weights={path}"
    stored = trainable.take(spec)
    logs, frames = model.log_probs(audio, Draws(range(4)))
    again, _ = stored.log_probs(audio, Draws(range(4)))
    assert int(frames[0]) == method.frames(model, int(audio.lengths[0]))
    assert torch.allclose(logs.exp(), again.exp(), atol=0.05)  # 16-bit weights


def test_masks_of_letters_are_the_mean_and_stay_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    model = letters.Letters()
    mel = torch.randn(2, 9, 80) - 5
    mel[1, 6:] = 0
    heard = []

    def encode(mel: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        heard.append(mel)
        return torch.zeros(2, 5, 29).log_softmax(-1), (frames + 1) // 2

    monkeypatch.setattr(model, "features", lambda audio: (mel, torch.tensor([9, 6])))
    monkeypatch.setattr(model, "encode", encode)
    rng = np.random.default_rng(0)
    for _ in range(20):
        trainable.method_of(model).hear(model, Audio.of([torch.zeros(9)] * 2), rng)
    means = torch.stack([mel[0].mean(), mel[1, :6].mean()])[:, None, None].expand_as(mel)
    masked = [(found - mel).abs() > 1e-4 for found in heard]
    assert sum(int(changed.sum()) for changed in masked) > 0
    for found, changed in zip(heard, masked, strict=True):
        assert torch.allclose(found[changed], means[changed], atol=1e-4)
        assert not changed[1, 6:].any()

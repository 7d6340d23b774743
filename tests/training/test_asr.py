import copy
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from lhotse import MonoCut

from melmoat import data, defenses, models
from melmoat.assets import asset
from melmoat.audio import AudioError
from melmoat.bench.cell import fingerprint
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2, DeepSpeech2Config
from melmoat.models.hama.letters import Letters, save
from melmoat.text import TextError
from melmoat.training import asr, loop, trainable
from melmoat.training.asr import ASRTask, Recipe, train_asr
from melmoat.training.diffusion import DiffusionRecipe
from melmoat.training.examples import Utterance, check_shortest, utterances
from melmoat.training.splits import SplitWarning, split_speakers
from melmoat.training.vocoder import VocoderRecipe
from melmoat.weights import read_header
from tests.conftest import tiny_config
from tests.models.test_checkpoints import published


def sounds(n: int) -> list[Utterance]:
    """Utterances of one high or one low tone: the text says which."""
    generator = torch.Generator().manual_seed(0)
    out = []
    for i in range(n):
        t = torch.arange(4_000 + 200 * i) / 16_000
        wave = torch.sin(2 * torch.pi * (400 if i % 2 else 3_000) * t)
        noise = 0.01 * torch.randn(len(t), generator=generator)
        out.append(Utterance(0.1 * wave + noise, "LO" if i % 2 else "HI"))
    return out


def task(device: str = "cpu", **changes: object) -> ASRTask:
    torch.manual_seed(0)
    recipe = Recipe(**{"epochs": 12, "batch": 4, "lr": 1e-2, "average": 0.9, **changes})  # type: ignore[arg-type]
    model = models.DeepSpeech2(tiny_config(layers=1))
    return ASRTask(model, sounds(16), sounds(6), sounds(8), recipe, device)


def test_it_learns_to_tell_two_tones_apart() -> None:
    trained = task(epochs=16, join=0.0, extra=0.0)
    before = trained.validate()["wer"]
    for number in range(trained.steps):
        trained.step(number)
    assert before >= 100
    assert trained.validate()["wer"] <= 10


def test_an_epoch_holds_every_utterance_once_and_joins_some() -> None:
    planned = task(join=0.5, extra=0.25)
    assert (planned.drawn, planned.pairs) == (4, 5)
    for epoch in (0, 1):
        batches = planned.plan(epoch)
        assert len(batches) == planned.steps_an_epoch
        used = [u for batch in batches for example in batch for u in example]
        assert len(used) == 20
        assert {id(u) for u in planned.main} <= {id(u) for u in used}
        assert sum(len(e) == 2 for b in batches for e in b) == 5
    first = [sum(len(u.wave) for u in e) for b in planned.plan(0) for e in b]
    assert first == sorted(first)
    assert planned.plan(1) != planned.plan(2)


def test_a_step_is_the_same_after_a_restart() -> None:
    whole, cut = task(), task()
    for number in range(4):
        whole.step(number)
    for number in range(2):
        cut.step(number)
    resumed = task()
    resumed.restore(cut.state())
    for number in range(2, 4):
        resumed.step(number)
    for a, b in zip(
        whole.state()["average"].values(), resumed.state()["average"].values(), strict=True
    ):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_loss_that_is_not_finite_changes_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    made = task()
    made.step(0)
    before = {name: value.clone() for name, value in made.model.named_parameters()}

    def broken(model: DeepSpeech2, log_probs: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.nan * log_probs.sum((1, 2))

    monkeypatch.setattr(DeepSpeech2, "loss_of", broken)
    assert math.isnan(made.step(1)["loss"])
    assert all(torch.equal(value, before[name]) for name, value in made.model.named_parameters())


def test_a_step_that_is_not_finite_leaves_the_statistics_of_batch_norm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One NaN in a running mean stays there: the recognizer would write nothing for good."""
    made = task()
    made.step(0)
    before = copy.deepcopy(made.model.state_dict())
    with monkeypatch.context() as patch:
        patch.setattr(asr, "noisy", lambda wave, *_: math.nan * wave)
        made.step(1)
    assert made.guard.skipped == 1
    assert all(torch.equal(value, before[name]) for name, value in made.model.state_dict().items())
    made.step(2)
    assert not torch.equal(made.model.head_norm.running_mean, before["head_norm.running_mean"])


def test_steps_without_a_gradient_are_counted_and_too_many_stop_the_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(model: DeepSpeech2, log_probs: torch.Tensor, *_: object) -> torch.Tensor:
        return torch.nan * log_probs.sum((1, 2))

    made = task()
    with monkeypatch.context() as patch:
        patch.setattr(DeepSpeech2, "loss_of", broken)
        for number in range(loop.PATIENCE - 1):
            made.step(number)
    made.step(0)  # one good step: the count in a row begins again
    again = task()
    again.restore(made.state())
    assert again.guard.skipped == made.guard.skipped == loop.PATIENCE - 1
    monkeypatch.setattr(DeepSpeech2, "loss_of", broken)
    for number in range(loop.PATIENCE - 1):
        made.step(number)
    with pytest.raises(MelmoatError, match=r"no gradient of the last 20 steps.*lower --lr"):
        made.step(0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lr": math.inf}, "lr must be finite"),
        ({"lr": math.nan}, "lr must be finite"),
        ({"noise": math.nan}, "noise must lie between 0 and 1"),
        ({"defended": 1.5}, "defended must lie between 0 and 1"),
        ({"teach": math.nan}, "teach must be finite"),
        ({"extra": math.inf}, "extra must be finite"),
        ({"loudest": 20, "faintest": 10}, "the loudest noise has the lower one"),
        ({"loudest": -4_000}, "at least -100"),
        ({"faintest": math.nan}, "loudest 10 and faintest nan"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(MelmoatError, match=said):
        Recipe(**wrong)  # type: ignore[arg-type]
    if "lr" in wrong:
        for recipe in (DiffusionRecipe, VocoderRecipe):
            with pytest.raises(MelmoatError, match=said):
                recipe(**wrong)


def test_a_network_that_ran_away_is_not_written(tmp_path: Path) -> None:
    model = models.DeepSpeech2(tiny_config())
    method = trainable.method_of(model)
    kept = method.export(model, tmp_path, {}, half=False)
    before = kept.read_bytes()
    with torch.no_grad():
        model.head_norm.running_var[0] = 1e5
    with pytest.raises(MelmoatError, match=r"65504, which head_norm\.running_var exceed"):
        method.export(model, tmp_path, {}, half=True)
    with torch.no_grad():
        model.head_norm.running_var[0] = math.nan
    with pytest.raises(MelmoatError, match=r"head_norm\.running_var of the network are NaN"):
        method.export(model, tmp_path, {}, half=False)
    assert kept.read_bytes() == before


def test_held_out_speakers_are_never_trained_on() -> None:
    cuts = data.load("demo")
    kept, held = split_speakers(cuts, 1)
    names = [{c.supervisions[0].speaker for c in part} for part in (kept, held)]
    assert not names[0] & names[1]
    assert len(names[1]) == 1
    assert len(list(kept)) + len(list(held)) == len(list(cuts))
    with pytest.raises(MelmoatError, match="cannot hold out 3 of 3"):
        split_speakers(cuts, 3)


def test_held_out_speakers_are_dropped_from_the_extra_corpora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[ASRTask] = []
    monkeypatch.setattr(ASRTask, "step", lambda self, n: seen.append(self) or {})  # type: ignore[func-returns-value]
    train_asr(tmp_path, ["demo"], ["demo"], 1, tiny_config(layers=1), Recipe(epochs=1))
    held = {u.text for u in seen[0].held_out}
    assert held
    assert not held & {u.text for u in seen[0].extra}
    assert not held & {u.text for u in seen[0].main}


def test_training_exports_weights_with_a_card(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, batch=8, extra=0.5)
    path, told = train_asr(
        tmp_path, ["demo"], ["demo"], 1, tiny_config(layers=1), recipe, half=True
    )
    card = read_header(path)["card"]
    assert card == told
    assert card["held_out_wer"] > 0
    assert card["left_out"] == 0
    assert card["trained_on"][0]["corpus"] == "demo"
    assert card["recipe"]["batch"] == 8
    assert str(tmp_path) not in str(card)
    assert models.load(f"deepspeech2:{path}").rate == 16_000
    assert len(utterances(data.load("demo"), DeepSpeech2(tiny_config()))) == 24


@pytest.mark.parametrize(("share", "heard"), [(0.0, 0), (0.7, 140), (1.0, 200)])
def test_a_share_of_the_utterances_is_heard_through_the_defense(share: float, heard: int) -> None:
    quiet, loud = torch.full((400,), 1e-3), torch.full((400,), 1.0)
    made = task(defended=share, noise=0.0)
    rng = np.random.default_rng(0)
    pairs = [made._samples(Utterance(quiet, "A", loud), rng) for _ in range(200)]
    assert sum(float(w.abs().max()) > 0.1 for w, _ in pairs) == pytest.approx(heard, abs=20)


def test_fine_tuning_starts_from_weights_and_validates_with_and_without_the_defense(
    tmp_path: Path,
) -> None:
    few = f"tsv:{asset('demo')},longest=2"
    first, _ = train_asr(tmp_path / "a", [few], [], 1, tiny_config(layers=1), Recipe(epochs=1))
    recipe = Recipe(epochs=1, lr=0.0, noise=1.0)
    path, told = train_asr(
        tmp_path / "b", [few], [], 2, DeepSpeech2Config(), recipe,
        start=f"deepspeech2:{first}", defense="wgn:snr=0",
    )  # fmt: skip
    card = read_header(path)["card"]
    assert card["start"] == f"deepspeech2:{fingerprint(first)}"
    assert card["defense"] == "wgn:snr=0,level=loudest"
    assert card["held_out_speakers"] == read_header(first)["card"]["held_out_speakers"]
    assert str(tmp_path) not in str(card)
    assert card == told
    weights = [models.load(f"deepspeech2:{p}").state_dict() for p in (first, path)]
    assert all(
        torch.allclose(value, weights[1][name], atol=1e-6)
        for name, value in weights[0].items()
        if "running" not in name
    )
    log = (tmp_path / "b" / "log.jsonl").read_text()
    assert "clean_wer" in log


def test_fine_tuning_on_other_speakers_holds_out_some_of_them(tmp_path: Path) -> None:
    first, _ = train_asr(tmp_path / "a", ["demo"], [], 1, tiny_config(layers=1), Recipe(epochs=1))
    absent = read_header(first)["card"]["held_out_speakers"]
    others = sorted({c.supervisions[0].speaker for c in data.load("demo")} - set(absent))
    without = f"tsv:{asset('demo')},speakers={'+'.join(others)}"
    with pytest.warns(SplitWarning, match="their scores are too good"):
        path, card = train_asr(
            tmp_path / "b", [without], ["demo"], 1,
            DeepSpeech2Config(), Recipe(epochs=1), start=f"deepspeech2:{first}",
        )  # fmt: skip
    assert len(others) == 2
    held = read_header(path)["card"]["held_out_speakers"]
    assert held in [sorted([name, *absent]) for name in others]
    assert card["held_out_wer"] is not None
    # Who was never heard stays so in the next training, and in the extra corpus of this one.
    later, _ = train_asr(
        tmp_path / "c", ["demo"], [], 1, DeepSpeech2Config(), Recipe(epochs=1),
        start=f"deepspeech2:{path}",
    )  # fmt: skip
    assert read_header(later)["card"]["held_out_speakers"] == held


def test_whom_the_start_held_out_is_dropped_from_the_extra_corpora(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = train_asr(tmp_path / "a", ["demo"], [], 1, tiny_config(layers=1), Recipe(epochs=1))
    (absent,) = read_header(first)["card"]["held_out_speakers"]
    others = sorted({c.supervisions[0].speaker for c in data.load("demo")} - {absent})
    read: list[str] = []
    real = asr.utterances

    def listening(cuts: Sequence[MonoCut], *rest: object) -> list[Utterance]:
        read.append("+".join(sorted({cut.supervisions[0].speaker for cut in cuts})))
        return real(cuts, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(asr, "utterances", listening)
    one = f"tsv:{asset('demo')},speakers={others[0]}"
    train_asr(
        tmp_path / "b", [one], ["demo"], 0, DeepSpeech2Config(), Recipe(epochs=1),
        start=f"deepspeech2:{first}",
    )  # fmt: skip
    assert read == [others[0], "+".join(others), ""]  # to train on, the extra ones, held out


def test_fine_tuning_starts_from_a_published_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "published.ckpt"
    torch.manual_seed(1)
    model = DeepSpeech2(tiny_config(layers=2))
    torch.save({"state_dict": published(model), "hyper_parameters": {}}, file)
    path, card = train_asr(
        tmp_path / "run", [short(tmp_path, 0.5, ["GO", "NO"])], [], 0, DeepSpeech2Config(),
        Recipe(epochs=1, lr=1e-9), start=f"deepspeech.pytorch:{file},pad=reflect",
    )  # fmt: skip
    tuned = models.load(f"deepspeech2:{path}")
    assert isinstance(tuned, DeepSpeech2)
    assert tuned.config == replace(model.config, pad="reflect")  # the spectrograms stay its own
    assert torch.allclose(tuned.head.weight, model.head.weight, atol=1e-6)
    assert card["start"] == f"deepspeech.pytorch:{fingerprint(file)},pad=reflect"


def test_other_recognizers_cannot_be_trained_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable, "load", lambda spec: object())
    with pytest.raises(MelmoatError, match="not a DeepSpeech2, not an hf-ctc model"):
        train_asr(tmp_path, ["demo"], [], 1, tiny_config(), Recipe(), start="python:a:b")


def test_texts_that_cannot_be_written_are_named_before_any_work(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", np.zeros(16_000), 16_000)
    (tmp_path / "transcripts.tsv").write_text(
        "id\tspeaker\tseconds\ttext\tpath\nu1\ts\t1\tROOM 5\ta.flac\nu2\tt\t1\tGO\ta.flac\n"
    )
    with pytest.raises(TextError, match=r"1 text\(s\) have characters .* u1: ROOM 5"):
        train_asr(tmp_path / "out", [f"tsv:{tmp_path}"], [], 0, DeepSpeech2Config(), Recipe())


def short(tmp_path: Path, seconds: float, texts: Sequence[str]) -> str:
    """A corpus of silence of two speakers in turn."""
    soundfile.write(tmp_path / "a.flac", np.zeros(round(16_000 * seconds)), 16_000)
    rows = [f"u{i}\ts{i % 2}\t0\t{text}\ta.flac\n" for i, text in enumerate(texts)]
    head = "id\tspeaker\tseconds\ttext\tpath\n"
    (tmp_path / "transcripts.tsv").write_text(head + "".join(rows))
    return f"tsv:{tmp_path}"


def test_texts_that_do_not_fit_are_left_out_and_counted(tmp_path: Path) -> None:
    corpus = short(tmp_path, 0.5, ["GO", "GO ON AND ON AND ON AND ON AND ON"])
    _, card = train_asr(tmp_path / "a", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=1))
    assert card["left_out"] == 1
    corpus = short(tmp_path, 0.1, ["GO ON AND ON", "GO ON AND ON"])
    with pytest.raises(MelmoatError, match="no text fits"):
        train_asr(tmp_path / "b", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=1))
    assert [path.name for path in (tmp_path / "b").iterdir()] == [".lock"]


def test_held_out_speakers_without_words_have_no_score(tmp_path: Path) -> None:
    corpus = short(tmp_path, 0.5, ["", "GO", "", "GO"])
    _, card = train_asr(tmp_path / "a", [corpus], [], 1, tiny_config(layers=1), Recipe(epochs=1))
    assert card["held_out_speakers"] == ["s0"]
    assert card["held_out_wer"] is None


def test_texts_without_spaces_are_validated_by_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would be one word: a recognizer that misses a character would have 100 % of errors."""
    made = task()
    made.held_out, made.unit = [Utterance(torch.ones(4_000), "\u6253\u5f00\u95e8")], "chars"
    heard = ["\u6253\u5f00"]
    monkeypatch.setattr(DeepSpeech2, "transcribe", lambda *_: heard)
    assert made.validate() == {"wer": pytest.approx(100 / 3)}
    again = ASRTask(made.model, sounds(4), [], [], Recipe())
    assert again.unit == "words"
    monkeypatch.setattr(asr, "fits", lambda *_: True)
    chinese = ASRTask(made.model, sounds(4), [], made.held_out, Recipe())
    assert chinese.unit == "chars"


def test_every_seed_holds_out_the_same_speakers(tmp_path: Path) -> None:
    """Or trainings of two seeds would be compared on speakers that one of them has heard."""
    corpus = short(tmp_path, 0.5, ["GO", "NO"])
    for seed in range(6):
        recipe = Recipe(epochs=1, seed=seed)
        _, card = train_asr(tmp_path / str(seed), [corpus], [], 1, tiny_config(layers=1), recipe)
        assert card["held_out_speakers"] == ["s0"]


def test_utterances_that_are_too_long_are_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainable.DeepSpeech2Method, "longest", 4.5)
    corpus = short(tmp_path, 2.0, ["GO", "NO"])
    with pytest.raises(AudioError, match=r"2 utterance\(s\) .*longest=1\): u0 \(2 s\)"):
        train_asr(tmp_path / "a", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=1))
    monkeypatch.setattr(
        trainable.DeepSpeech2Method, "longest", 4.6
    )  # joined and slowed it just fits
    recipe = Recipe(epochs=1, join=1.0)
    assert train_asr(tmp_path / "b", [corpus], [], 0, tiny_config(layers=1), recipe)


@pytest.mark.parametrize(
    ("start", "defense", "seconds", "samples"),
    [(False, "mdnf", 0.031, 443), (False, "chain:wgn,then=resynth", 0.031, 443),
     (True, None, 0.0137, 196)],
)  # fmt: skip
def test_an_utterance_that_is_too_short_at_the_fastest_speed_is_named_before_any_step(
    tmp_path: Path, start: bool, defense: str | None, seconds: float, samples: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """At its own speed it is long enough, and most steps would pass."""
    weights = tmp_path / "letters.safetensors"
    save(weights, Letters(), {})
    corpus = short(tmp_path, seconds, ["", ""])
    monkeypatch.setattr(asr.ASRTask, "step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(AudioError, match=rf"^u0, 1\.12 times .* {samples} samples is too short"):
        train_asr(
            tmp_path / "run", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=1),
            start=f"hama-letters:weights={weights}" if start else None, defense=defense,
        )  # fmt: skip


def test_a_held_out_utterance_that_is_too_short_is_named_before_any_step(tmp_path: Path) -> None:
    weights = tmp_path / "letters.safetensors"
    save(weights, Letters(), {})
    (tmp_path / "long").mkdir()
    learnt = short(tmp_path / "long", 0.5, ["", ""])
    held = short(tmp_path, 0.012, ["NO TEXT FITS"])  # it is heard all the same
    with pytest.raises(AudioError, match=r"^u0: an utterance of 192 samples is too short"):
        train_asr(
            tmp_path / "run", [learnt, held], [], 1, tiny_config(layers=1), Recipe(epochs=1),
            start=f"hama-letters:weights={weights}",
        )  # fmt: skip


def test_the_shortest_utterance_is_tried_and_nothing_is_learnt_from_it(tmp_path: Path) -> None:
    cuts = list(data.load(short(tmp_path, 0.5, ["GO"])))
    model = models.DeepSpeech2(tiny_config(layers=1)).train()
    before = copy.deepcopy(model.state_dict())
    check_shortest(list(zip(cuts, sounds(1), strict=True)), model)
    assert model.training
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_folder_of_another_run_is_refused_before_the_corpus_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = short(tmp_path, 0.5, ["GO", "NO"])
    train_asr(tmp_path / "a", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=1))
    monkeypatch.setattr(asr, "utterances", lambda *_: pytest.fail("heard"))
    with pytest.raises(MelmoatError, match="other settings"):
        train_asr(tmp_path / "a", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=2))
    (tmp_path / "file").write_text("")
    with pytest.raises(MelmoatError, match="cannot use"):
        train_asr(tmp_path / "file", [corpus], [], 0, tiny_config(layers=1), Recipe(epochs=1))


def test_a_corpus_in_memory_is_its_16_bit_samples(tiny: DeepSpeech2) -> None:
    cuts = list(data.load("demo"))[:2]
    kept = utterances(cuts, tiny, defenses.front_end("none"))
    heard = data.read(cuts)
    for utterance, wave in zip(kept, heard, strict=True):
        assert utterance.wave.dtype == torch.int16
        assert torch.equal(utterance.wave / 32_768, wave)
        assert utterance.defended is not None
        assert torch.equal(utterance.wave, utterance.defended)

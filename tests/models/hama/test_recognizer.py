"""hama's networks give what its own engine gives, on real and on synthetic speech."""

from itertools import groupby
from pathlib import Path

import pytest
import torch

from melmoat import attacks, data, defenses
from melmoat.audio import Audio, AudioError
from melmoat.bench.cell import grid
from melmoat.bench.judge import judge, rows_of
from melmoat.bench.summary import summary_of
from melmoat.draws import Draws
from melmoat.models.base import as_written_by, comparison_of
from melmoat.models.hama.load import load
from melmoat.models.hama.recognizer import Hama
from melmoat.weights import WeightsError
from tests.models.hama.writing import save_wheel

hama = pytest.importorskip("hama", reason="needs the extra hama")


@pytest.fixture(scope="module")
def conformer() -> Hama:
    return load("conformer")


@pytest.fixture(scope="module")
def synthetic() -> Audio:
    return data.read(list(data.load("demo"))[::6])


def collapsed(model: Hama, audio: Audio) -> list[list[int]]:
    """Greedy symbols in hama's numbering."""
    logs, frames = model.log_probs(audio, Draws([0] * len(audio)))
    best = logs.argmax(-1).tolist()
    rows = [best[i][:n] for i, n in enumerate(frames.tolist())]
    return [[label - 1 for label, _ in groupby(row) if label] for row in rows]


def same_as_the_package(model: Hama, audio: Audio) -> None:
    engine = hama.ASRModel(decode=hama.ASRDecodeConfig(blank_bias=0.0))
    expected = [engine(wave.numpy(), 16_000).token_ids for wave in audio]
    assert collapsed(model, audio) == expected
    assert sum(map(len, expected)) > 20 * len(audio)


def test_synthetic_speech_has_the_phonemes_of_the_package(
    conformer: Hama, synthetic: Audio
) -> None:
    same_as_the_package(conformer, synthetic)


@pytest.mark.slow
def test_real_speech_has_the_phonemes_of_the_package(conformer: Hama, shared: Path) -> None:
    cuts = list(data.load(f"tsv:{shared}/data/librispeech/dev-clean-mp3"))
    same_as_the_package(conformer, data.read([cut for cut in cuts if cut.duration < 8][:12]))


def test_log_probabilities_equal_the_engine(conformer: Hama, synthetic: Audio) -> None:
    wave = next(iter(synthetic))
    session = hama.ASRModel().session
    expected, frames = session.run(["log_probs", "out_lengths"], {"waveform": wave.numpy()})
    logs, count = conformer.log_probs(Audio.of([wave]), Draws([0]))
    assert count.tolist() == frames.tolist()
    theirs = torch.from_numpy(expected[0]).roll(1, -1).exp()
    assert (logs[0].exp() - theirs).abs().max() < 5e-3  # its exp and its GELU are approximate


def test_a_ragged_batch_equals_its_singles(conformer: Hama, synthetic: Audio) -> None:
    together, frames = conformer.log_probs(synthetic, Draws(range(len(synthetic))))
    for i, wave in enumerate(synthetic):
        alone, count = conformer.log_probs(Audio.of([wave]), Draws([i]))
        assert count[0] == frames[i] == alone.shape[1]
        assert torch.allclose(together[i, : frames[i]], alone[0], atol=1e-3)


def test_each_symbol_is_in_its_column(conformer: Hama) -> None:
    cuts = [cut for cut in data.load("demo") if len(cut.supervisions[0].text.split()[0]) > 1][:4]
    texts = [cut.supervisions[0].text for cut in cuts]
    audio = data.read(cuts)
    losses = conformer.loss(audio, texts, Draws(range(4)))
    other = conformer.loss(audio, texts[1:] + texts[:1], Draws(range(4)))
    assert (losses * 3 < other).all()
    heard = conformer.transcribe(audio, Draws(range(4)))
    assert (conformer.loss(audio, heard, Draws(range(4))) <= losses + 0.1).all()


def test_words_may_be_written_by_a_decoder(synthetic: Audio) -> None:
    loaded = load("conformer")
    model = Hama("conformer", loaded.inventory, lambda log_probs, frames: ["GO"] * 4)
    model.load_state_dict(loaded.state_dict())
    assert model.transcribe(synthetic, Draws(range(4))) == ["GO"] * 4
    assert as_written_by(model, "Go, on!") == "GO ON"
    assert comparison_of(loaded)("He had!") == comparison_of(loaded)("h i | h æ d") == "h i h æ d"
    assert comparison_of(model)("He had!") == comparison_of(model)("HE HAD")
    losses = [m.loss(synthetic, ["HE HAD"] * 4, Draws(range(4))) for m in (model, loaded)]
    assert torch.equal(*losses)


def test_the_judge_counts_phonemes_beside_words(synthetic: Audio) -> None:
    loaded = load("conformer")
    words = Hama("conformer", loaded.inventory, lambda log_probs, frames: ["GO"] * len(frames))
    words.load_state_dict(loaded.state_dict())
    defense, attack = defenses.build("rs:snr=10,votes=2"), attacks.build("none")
    said, draws, names = ["HE HAD", "GO"] * 2, Draws(range(4)), list("abcd")
    rows, plain = (
        rows_of(names, said, attack, judge(defense.wrap(model), synthetic, attack, said, draws))
        for model in (words, loaded)
    )
    for row, phonemes in zip(rows, plain, strict=True):  # the same draws, and the same errors
        assert row["phonemes"] == loaded.inventory.compared(phonemes["adversarial"])
        assert row["phoneme_errors"] == phonemes["counts"]["adversarial"]["words"]
        assert row["adversarial"] == "GO"
        assert "phonemes" not in phonemes
    summary = summary_of(grid(["ds2-an4"], ["none"], ["none"], ["demo"])[0], rows, "key")
    edits, total = map(sum, zip(*(row["phoneme_errors"] for row in rows), strict=True))
    assert summary["per"] == 100 * edits / total > 0
    assert "per" not in summary_of(grid(["ds2-an4"], ["none"], ["none"], ["demo"])[0], plain, "key")


def test_long_and_short_audio_is_refused(conformer: Hama) -> None:
    with pytest.raises(AudioError, match="30 s"):
        conformer.log_probs(Audio.of([torch.zeros(480_000)]), Draws([0]))
    with pytest.raises(AudioError, match="too short"):
        conformer.log_probs(Audio.of([torch.zeros(200)]), Draws([0]))


def test_the_other_network_is_in_another_version(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"hama==1\.3\.13"):
        load("se")
    save_wheel(tmp_path / "se.whl")
    assert isinstance(load("se", tmp_path / "se.whl"), Hama)
    with pytest.raises(WeightsError, match=r"hama 1\.7\.0 has it"):
        load("conformer", tmp_path / "se.whl")

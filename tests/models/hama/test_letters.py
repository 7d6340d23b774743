"""A recognizer of letters: its last layer is made from the one for phonemes."""

from pathlib import Path

import pytest
import torch

from melmoat import data, models
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import char_edits
from melmoat.models.hama import letters
from melmoat.models.hama import load as hama_load
from melmoat.models.hama.recognizer import Hama
from melmoat.text import LABELS
from melmoat.weights import WeightsError

pytest.importorskip("hama", reason="needs the extra hama")
pytest.importorskip("pocketsphinx", reason="needs the extra hama")


@pytest.fixture(scope="module")
def heard() -> Hama:
    return hama_load.load("conformer")


@pytest.fixture(scope="module")
def model(heard: Hama) -> letters.Letters:
    return letters.untrained(heard)


@pytest.fixture(scope="module")
def speech() -> tuple[Audio, list[str]]:
    """The sentences of the demo corpus, without what is spelled out."""
    cuts = [cut for cut in data.load("demo") if " " not in data.written(cut)[1:4:2]]
    return data.read(cuts), [data.written(cut) for cut in cuts]


def test_phonemes_stand_for_the_letters_that_spell_them(heard: Hama) -> None:
    table = letters.spelled(heard)
    assert torch.allclose(table.sum(1), torch.ones(len(table)))

    def likeliest(symbol: str, count: int) -> set[str]:
        row = table[heard.inventory.symbols.index(symbol)]
        return {LABELS[i] for i in row.topk(count).indices.tolist()}

    assert likeliest("_", 1) == {"_"}
    assert likeliest("|", 1) == {" "}
    assert likeliest("m", 1) == {"M"}
    assert likeliest("æ", 1) == {"A"}
    assert likeliest("θ", 2) == {"T", "H"}
    assert likeliest("k", 2) == {"C", "K"}


def test_the_new_layer_gives_the_letters_of_the_phonemes(
    heard: Hama, model: letters.Letters, speech: tuple[Audio, list[str]]
) -> None:
    audio = speech[0]
    draws = Draws(range(len(audio)))
    phonemes, frames = heard.log_probs(audio, draws)
    wanted = phonemes.exp() @ letters.spelled(heard)
    found, again = model.log_probs(audio, draws)
    assert torch.equal(frames, again)
    assert found.shape[2] == len(LABELS)
    rows = [(found[i, :n].exp() - wanted[i, :n]).abs() for i, n in enumerate(frames.tolist())]
    apart = torch.cat(rows).sum(1) / 2  # total variation
    assert apart.mean() < 0.25  # no speech was seen by the fit


def test_before_training_some_of_the_letters_are_right(
    model: letters.Letters, speech: tuple[Audio, list[str]]
) -> None:
    audio, texts = speech
    hypotheses = model.transcribe(audio, Draws(range(len(audio))))
    edits = [
        char_edits(text, hypothesis) for text, hypothesis in zip(texts, hypotheses, strict=True)
    ]
    assert sum(wrong for wrong, _ in edits) < 0.55 * sum(total for _, total in edits)


def test_the_same_comes_out_each_time(heard: Hama, model: letters.Letters) -> None:
    torch.manual_seed(7)
    other = letters.untrained(heard)
    for key, value in model.state_dict().items():
        # Several threads add in any order, so the last digits may differ.
        assert torch.allclose(value, other.state_dict()[key], atol=1e-4), key


def test_weights_are_stored_with_their_labels(
    tmp_path: Path,
    model: letters.Letters,
    speech: tuple[Audio, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "model.safetensors"
    letters.save(path, model, {"held_out_speakers": ["x"]})
    monkeypatch.setattr("melmoat.models.hama.files.package_folder", lambda name: None)
    with pytest.raises(MelmoatError, match="pip install"):
        models.load("hama-letters")
    stored = models.load(f"hama-letters:weights={path}")  # needs no package
    assert isinstance(stored, letters.Letters)
    assert stored.labels == LABELS
    assert stored.card == {"held_out_speakers": ["x"]}
    assert stored.greedy
    audio = Audio.of([next(iter(speech[0]))])
    assert torch.equal(
        stored.log_probs(audio, Draws([0]))[0], model.log_probs(audio, Draws([0]))[0]
    )
    assert not models.load(f"hama-letters:weights={path},beam=2").greedy  # type: ignore[attr-defined]
    lexicon = models.load(f"hama-letters:weights={path},decoder=lexicon")
    written = lexicon.transcribe(audio, Draws([0]))[0]
    assert written
    assert all(word.isalpha() or "'" in word for word in written.split())


def test_weights_of_something_else_are_refused(tmp_path: Path, heard: Hama) -> None:
    path = tmp_path / "phonemes.safetensors"
    hama_load.save(path, heard, {})
    with pytest.raises(WeightsError, match="expected hama-letters"):
        models.load(f"hama-letters:weights={path}")
    model = letters.Letters()
    letters.save(path, model, {})
    with pytest.raises(WeightsError, match="expected hama conformer"):
        models.load(f"hama:conformer,weights={path}")

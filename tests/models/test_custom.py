"""Recognizers from outside, by ``python:MODULE:FACTORY``."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from melmoat import attacks, defenses, models
from melmoat.attacks import Targeted, Untargeted
from melmoat.audio import Audio
from melmoat.custom import origin
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import transcribe
from melmoat.models.custom import faults

EXAMPLES = Path(__file__).parents[2] / "examples"
SEEDS = (5, 6, 7)
TEXTS = ["GO ON", "ENTER SIX", "A"]
BODY = """
import torch
class Any:
    rate = 16000
    def transcribe(self, audio, draws): return ["X"] * len(audio)
    def loss(self, audio, texts, draws): return audio.wav.square().sum(1)
class Mute:
    rate = 16000.0
    labels = ["_", "A"]
    def loss(self, audio, texts, draws): return audio.wav.sum(1)
class Frames:
    rate = 16000
    labels = "_A "
    def log_probs(self, audio, draws):
        frames = audio.wav.unfold(1, 400, 400)
        scores = torch.stack([frames.mean(-1), frames.std(-1), -frames.mean(-1)], -1)
        return scores.log_softmax(-1), audio.lengths // 400
    def transcribe(self, audio, draws): return ["A"] * len(audio)
    def loss(self, audio, texts, draws):
        from melmoat.models.base import ctc_loss
        return ctc_loss(*self.log_probs(audio, draws), texts, self.labels)
class Word(Any):
    def transcribe(self, audio, draws): return "HELLO"
class Tokens(Any):
    vocabulary = ["A"]
    rate = True
def broken(): return {}["weights"]
number = 3
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, which no test leaves on the path or in the modules."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_a.py").write_text(BODY)
    (tmp_path / "mine_b.py").write_text("import melmoat\nimport surely_not_there\n")
    (tmp_path / "mine_c.py").write_text("1 / 0\n")
    importlib.invalidate_caches()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


def test_it_comes_from_the_current_folder(here: Path, ragged: Audio) -> None:
    model = models.load("python:mine_a:Any")
    assert type(model).__name__ == "Any"
    noisy = defenses.build("wgn").wrap(model)
    assert noisy.transcribe(ragged, Draws(SEEDS)) == ["X"] * 3


def test_its_options_are_its_signatures(here: Path) -> None:
    (here / "mine_f.py").write_text(
        "from mine_a import Any\n"
        "def load(rate: int = 16000, normaliser: str = 'mine'):\n"
        "    made = Any()\n    made.rate = rate\n    return made\n"
    )
    model = models.load("python:mine_f:load,rate=8000,normaliser=basic")
    assert model.rate == 8_000
    assert vars(model)["normaliser"].name == "basic"  # that of python: comes first
    with pytest.raises(MelmoatError, match="unknown key 'speed'; known keys: rate, normaliser"):
        models.load("python:mine_f:load,speed=2")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("mine_a", "expected python:MODULE:FACTORY"),
        ("mine_z:load", "no module 'mine_z'; run from the folder it lies in"),
        ("mine_a.deeper:load", r"no module 'mine_a\.deeper'"),
        (
            "mine_a:load",
            "no function or class 'load'; it has Any, Mute, Frames, Word, Tokens, broken",
        ),
        ("mine_a:number", "no function or class 'number'"),
        ("mine_a:broken", r"the factory failed, KeyError: 'weights' \(mine_a\.py, line 2\d\)"),
        ("mine_b:load", "importing mine_b failed, ModuleNotFoundError.*surely_not_there"),
        ("mine_c:load", r"importing mine_c failed, ZeroDivisionError.*mine_c\.py, line 1"),
        (
            "mine_a:Mute",
            r"rate must be .*16000\.0; it has no method transcribe; .*log_probs; labels",
        ),
        ("mine_a:Tokens", "rate must be .*True; it has no method encode; it has no method cut"),
    ],
)
def test_what_is_wrong_is_said(here: Path, target: str, message: str) -> None:
    with pytest.raises(MelmoatError, match=message):
        models.load(f"python:{target}")


def test_frame_wise_probabilities_are_enough_for_attacks(here: Path, ragged: Audio) -> None:
    model = models.load("python:mine_a:Frames")
    out = attacks.build("pgd:db=10,steps=2")(model, ragged, Untargeted(["A"] * 3), Draws(SEEDS))
    assert out.first is not None
    assert not torch.equal(out.wav, ragged.wav)
    margin = attacks.build("cw2018:steps=2,loss=margin,target=A")
    assert margin(model, ragged, Targeted(["A"] * 3), Draws(SEEDS)).first is not None


def test_a_transcript_that_is_no_list_is_told(here: Path, ragged: Audio) -> None:
    with pytest.raises(MelmoatError, match=r"Word\.transcribe returned 'HELLO' for 3 utterance"):
        transcribe(models.load("python:mine_a:Word"), ragged, Draws(SEEDS))


def test_a_package_that_fails_is_no_obstacle_to_naming_it(here: Path) -> None:
    (here / "mine_d").mkdir()
    (here / "mine_d" / "__init__.py").write_text("raise RuntimeError('no GPU')\n")
    found = origin({"target": "mine_d.deeper:load"})
    assert (found.code, found.also) == ((), "mine_d.deeper:load")
    with pytest.raises(MelmoatError, match="RuntimeError: no GPU"):
        models.load("python:mine_d.deeper:load")


def test_the_recognizers_here_are_without_fault(tiny: object) -> None:
    assert faults(tiny) == []
    assert faults(defenses.build("rs:vote=rover").wrap(tiny)) == []  # type: ignore[arg-type]


class TestTheExample:
    @pytest.fixture
    def model(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> models.Recognizer:
        monkeypatch.chdir(EXAMPLES)
        return models.load("python:own_recognizer:load")

    def test_a_batch_equals_its_singles(self, model: models.Recognizer, ragged: Audio) -> None:
        losses = model.loss(ragged, TEXTS, Draws(SEEDS))
        heard = model.transcribe(ragged, Draws(SEEDS))
        for i, wave in enumerate(ragged):
            alone, draws = Audio.of([wave]), Draws(SEEDS[i : i + 1])
            assert torch.allclose(model.loss(alone, TEXTS[i : i + 1], draws), losses[i], rtol=1e-5)
            assert model.transcribe(alone, draws) == [heard[i]]

    def test_it_is_attacked_and_defended(self, model: models.Recognizer, ragged: Audio) -> None:
        system = defenses.build("rs:votes=2").wrap(model)
        goal = Untargeted(TEXTS)
        before = goal.loss(system, ragged, Draws(SEEDS))
        attack = attacks.build("pgd:norm=snr,db=10,steps=2")
        out = attack(system, ragged, goal, Draws(SEEDS))
        assert (goal.loss(system, out, Draws(SEEDS)) < before).all()

    def test_it_is_short(self) -> None:
        code = (EXAMPLES / "own_recognizer.py").read_text().split('"""', 2)[2]
        assert len([line for line in code.splitlines() if line.strip()]) <= 30

"""Defenses from outside, by ``python:MODULE:FACTORY``."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from melmoat import attacks, defenses
from melmoat.analysis.audit import audit
from melmoat.analysis.variants import facts, siblings
from melmoat.attacks import Untargeted
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.cli.app import app
from melmoat.defenses import DEFENSES
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models.base import CTCRecognizer
from tests.bench.hand_made import run

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = "python:own_defense:Coarse"
SEEDS = (5, 6, 7)
TEXTS = ["GO ON", "ENTER SIX", "A"]


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples' folder, which no test leaves on the path or in the modules."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(EXAMPLES)
    importlib.invalidate_caches()
    yield
    for name in ("own_defense", "other", "trap", "mine_e"):
        sys.modules.pop(name, None)


def test_it_passes_audio_on_and_knows_its_gradients(tiny: CTCRecognizer, ragged: Audio) -> None:
    heard = defenses.front_end(OWN)(ragged, Draws(SEEDS))
    assert torch.allclose(heard.wav * 128, (heard.wav * 128).round())
    goal, attack = Untargeted(TEXTS), attacks.build("pgd:db=20,steps=2")
    moved = []
    for spec in (OWN, f"{OWN},gradient=bpda"):
        out = attack(defenses.build(spec).wrap(tiny), ragged, goal, Draws(SEEDS))
        moved.append(bool((out.wav != ragged.wav).any()))
    assert moved == [False, True]


def test_its_options_are_its_signatures(ragged: Audio) -> None:
    heard = defenses.front_end(f"{OWN},bits=4")(ragged, Draws(SEEDS))
    assert torch.allclose(heard.wav * 8, (heard.wav * 8).round())
    for spec, message in {
        "bits=few": "bits must be a whole number; got 'few'",
        "level=3": "unknown key 'level'; known keys: bits",
    }.items():
        with pytest.raises(MelmoatError, match=message):
            defenses.front_end(f"{OWN},{spec}")


def test_a_sweep_is_of_other_systems_and_an_audit_tells_them_apart() -> None:
    spec = DEFENSES.parse(f"{OWN},bits=4,gradient=bpda")
    assert str(spec) == str(DEFENSES.parse(f"{OWN},gradient=bpda,bits=4"))
    assert siblings(str(spec)) == ("bpda", f"{OWN},bits=4")
    keys = [identity(DEFENSES.parse(f"{OWN}{more}")) for more in ("", ",bits=4", ",bits=8")]
    assert len(set(keys)) == 3
    made = run(f"{OWN},bits=4", {"none": 5.0, "pgd:db=20": 20.0})
    made += run(f"{OWN},bits=4,gradient=bpda", {"pgd:db=20": 90.0})
    made += run(f"{OWN},bits=6,gradient=bpda", {"pgd:db=20": 90.0})
    rows = {row.defense: {f.check: f.status for f in row.findings} for row in audit(made)}
    assert rows[f"{OWN},bits=4"]["weaker attackers"] == "sign"


def test_what_its_options_name_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine_e.py").write_text(
        "from typing import Annotated\nfrom pathlib import Path\n"
        "from melmoat.facts import Part\n"
        "def load(model: Annotated[str, Part('model')], curve: Path = Path('c')): ..."
    )
    found = []
    for content in ("a", "a", "b"):
        Path("w").write_text(content)
        found.append(identity(DEFENSES.parse("python:mine_e:load,model=deepspeech2:w")))
    Path("c").write_text("now there")
    found.append(identity(DEFENSES.parse("python:mine_e:load,model=deepspeech2:w")))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_cells_hold_what_its_file_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named = identity(DEFENSES.parse(OWN))
    assert named.endswith("@Coarse")
    assert "own_defense" not in named
    assert identity(DEFENSES.parse(f"{OWN},gradient=bpda")) != named
    monkeypatch.chdir(tmp_path)
    Path("other.py").write_text((EXAMPLES / "own_defense.py").read_text())
    assert identity(DEFENSES.parse("python:other:Coarse")) == named


def test_reading_a_run_runs_none_of_its_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("trap.py").write_text("raise SystemExit('imported')")
    assert facts("python:trap:load") == (None, None)
    made = run("python:trap:load", {"none": 5.0, "pgd:db=20": 60.0})
    made += run("python:trap:load,gradient=bpda", {"pgd:db=20": 90.0})
    found = {f.check: f.status for f in audit(made)[0].findings}
    assert found["weaker attackers"] == "sign"
    assert (found["EOT"], found["exact gradient"]) == ("missing", "missing")
    with pytest.raises(SystemExit):
        defenses.front_end("python:trap:load")


@pytest.mark.parametrize(
    ("body", "spec", "message"),
    [
        ("def load(): return 3", "python:mine_e:load", "made a int; expected a .*FrontEnd"),
        (
            "class Any:\n    def wrap(self, model): return model",
            "python:mine_e:Any,gradient=bpda",
            "whose gradient is its own",
        ),
        (
            "from melmoat.defenses import FrontEnd\nfrom melmoat.audio import Audio\n"
            "class Short(FrontEnd):\n"
            "    def __call__(self, audio, draws): return Audio.of([w[:-9] for w in audio])",
            "python:mine_e:Short",
            "Short changed an utterance's length",
        ),
        *[
            (
                "from melmoat.defenses import FrontEnd\nfrom dataclasses import replace\n"
                "class Slow(FrontEnd):\n"
                "    def __call__(self, audio, draws): return replace(audio, rate=8000)",
                f"python:mine_e:Slow,gradient={kind}",
                "Slow changed an utterance's length or the rate",
            )
            for kind in ("exact", "bpda", "resampled")
        ],
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny: CTCRecognizer,
    ragged: Audio,
    body: str,
    spec: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine_e.py").write_text(body)
    with pytest.raises(MelmoatError, match=message):
        defenses.build(spec).wrap(tiny).transcribe(ragged, Draws(SEEDS))


def test_the_documented_run_shows_what_masks_the_gradient(tmp_path: Path) -> None:
    out = str(tmp_path / "coarse")
    words = ["bench", "--data", "demo", "--limit", "2", "--out", out, "--defense", OWN,
             "--model", "python:tests.attacks.toys:Frames",
             "--defense", f"{OWN},gradient=bpda", "--attack", "none",
             "--attack", "pgd:db=20,steps=2", "--save-audio"]  # fmt: skip
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    result = CliRunner().invoke(app, ["audit", out, "--json"])
    assert result.exit_code == 3
    assert "the gradient is zero" in result.output

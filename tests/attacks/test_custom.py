"""Attacks from outside, by ``python:MODULE:FACTORY``."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat import attacks
from melmoat.analysis.audit import audit
from melmoat.analysis.results import read_results
from melmoat.analysis.variants import setting
from melmoat.attacks import Untargeted
from melmoat.audio import Audio
from melmoat.bench.cell import Cell, grid
from melmoat.cli.app import app
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from tests.bench.hand_made import run

EXAMPLES = Path(__file__).parents[2] / "examples"
OWN = "python:own_attack:Sign"
SEEDS = (5, 6, 7)
TEXTS = ["GO ON", "ENTER SIX", "A"]
BODY = """
from melmoat.attacks.base import NoAttack
class Fine(NoAttack):
    access = "black-box"
    def __init__(self, queries: int = 3): self.queries = queries
class Mute:
    budget = None
    evaluations = 0
    def goal(self, *args): ...
    def __call__(self, *args): ...
class Odd(Mute):
    access = "gray"
class Nothing: ...
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLES)])
    monkeypatch.chdir(tmp_path)
    Path("mine_x.py").write_text(BODY)
    importlib.invalidate_caches()
    yield
    for name in ("own_attack", "mine_x"):
        sys.modules.pop(name, None)


def test_the_example_attacks_within_its_budget(tiny: DeepSpeech2, ragged: Audio) -> None:
    attack = attacks.build(f"{OWN},db=20,size=0.5")
    goal = Untargeted(TEXTS)
    out = attack(tiny, ragged, goal, Draws(SEEDS))
    assert (goal.loss(tiny, out, Draws(SEEDS)) < goal.loss(tiny, ragged, Draws(SEEDS))).all()
    assert attack.budget is not None
    share = attack.budget.norm(out.wav - ragged.wav) / attack.budget.radius(ragged)
    assert share.tolist() == pytest.approx([0.5] * 3, abs=0.01)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Nothing", "made a Nothing, which is no attack: no budget, no evaluations, no method"),
        ("Mute", "Mute declares no access; say what it has"),
        ("Odd", "declares the access 'gray'"),
        ("Fine,access=white-box", "declares the access 'black-box', not 'white-box'"),
        ("Fine,steps=3", "unknown key 'steps'; known keys: queries"),
        ("Fine,queries=many", "queries must be a whole number; got 'many'"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(spec: str, message: str) -> None:
    with pytest.raises(MelmoatError, match=message):
        grid(["ds2-an4"], ["none"], [f"python:mine_x:{spec}"], ["demo"])


def test_a_run_says_its_access_so_reading_it_needs_none_of_its_code() -> None:
    (cell,) = grid(["ds2-an4"], ["none"], ["python:mine_x:Fine,queries=9"], ["demo"])
    assert cell.attack == "python:mine_x:Fine,access=black-box,queries=9"
    Path("mine_x.py").write_text("raise SystemExit('imported')")
    sys.modules.pop("mine_x")
    taken = setting(cell.attack)
    assert (taken.access, taken.args["queries"], taken.white) == ("black-box", 9, False)
    assert setting("python:mine_x:Fine").access is None
    assert setting("transfer:model=ds2-an4,attack=(python:mine_x:Fine)").access == "transfer"
    wers = {"none": 5.0, "python:mine_x:Fine": 90.0}
    assert audit(run("rs", wers))[0].findings[0].status == "missing"


def test_options_named_as_ours_are_compared_as_ours() -> None:
    own = f"{OWN},access=white-box,db=20"
    wers = {"none": 5.0, f"{own},steps=9": 50.0, f"{own},steps=100": 90.0, "noise:db=20": 9.0}
    found = {f.check: f.status for f in audit(run("rs", wers))[0].findings}
    assert (found["adaptive attack"], found["more steps"]) == ("ok", "sign")
    assert found["noise of the same size"] == "ok"


def test_a_change_of_its_code_makes_another_cell_that_draws_the_same() -> None:
    def cell() -> Cell:
        return Cell("ds2-an4", "none", "python:mine_x:Fine", "demo")

    before = cell()
    key, seed = before.key, before.seed_of("a")
    Path("mine_x.py").write_text(BODY + "# a comment\n")
    assert cell().key == key, "what it does is the same"
    Path("mine_x.py").write_text(BODY + "x = 1\n")
    assert cell().key != key
    assert cell().seed_of("a") == seed
    other = Cell("ds2-an4", "none", "python:mine_x:Fine,queries=4", "demo")
    assert other.seed_of("a") != seed


def test_the_documented_commands(tmp_path: Path) -> None:
    out = str(tmp_path / "sign")
    words = ["bench", "--data", "demo", "--limit", "2", "--out", out, "--attack", "none",
             "--attack", f"{OWN},db=20"]  # fmt: skip
    assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == 0
    results = read_results(Path(out))
    assert results[1].cell.attack == f"{OWN},access=white-box,db=20"
    assert results[1].snr_db == pytest.approx(20.0, abs=0.2)

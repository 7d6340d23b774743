"""The dry run: which members an evaluation may take, and what they cost at most."""

from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat import standard
from melmoat.cli.app import app
from melmoat.data.in_memory import write_corpus
from melmoat.standard.levels import Level
from melmoat.standard.members import Effort
from tests.standard.toys import Beeps, Hiss, speech

LOUD, MIDDLE = (Level("l2", db) for db in (30.0, 40.0))
BOX = Level("linf", 35.0)
EFFORT = Effort(
    "quick", 4, ((3, 1), (4, 2)), 6, ("matched", ""), (MIDDLE, BOX, LOUD), 4, (), (LOUD,)
)


def corpus_at(home: Path, down_db: float) -> str:
    return write_corpus(speech(2, down_db), home / "data")[0]


@pytest.mark.parametrize("noisy", [False, True])
def test_a_system_that_holds_takes_every_member_of_the_plan(tmp_path: Path, noisy: bool) -> None:
    model, corpus = Beeps(13.0), corpus_at(tmp_path, 13.0)  # no perturbation of 30 dB does anything
    parts = (model, Hiss(), corpus) if noisy else (model, "none", corpus)
    plan = standard.forecast(*parts, effort=EFFORT)
    run = tmp_path / "run"
    result = standard.evaluate(*parts, run, effort=EFFORT)
    assert standard.at(result, MIDDLE).capped == 0  # at LOUD "quieter" comes last, and it falls
    measured = {(one.level, one.member) for one in result.members}
    wanted = {(one.level.name, one.member.name) for one in plan.members}
    unhelpful = {name for _, name in wanted if name == "pgd, 4 draws"}  # 2 draws did not help
    assert measured <= wanted
    rest = {(level, name) for level, name in wanted - measured if level != "l2 10 dB"}  # it falls
    assert rest == {(level, name) for level, name in wanted if name in unhelpful} - {
        ("l2 10 dB", "pgd, 4 draws")
    }
    assert bool(unhelpful) == noisy
    assert (plan.utterances, plan.draws) == (2, 10 if noisy else 1)
    if not noisy:
        spent = max(cost.passes for cost in result.cost.values())
        assert spent <= sum(one.passes for one in plan.members)


def test_a_system_that_falls_at_once_takes_the_least(tmp_path: Path) -> None:
    model, corpus = Beeps(80.0), corpus_at(tmp_path, 80.0)  # 80 dB below the carrier
    plan = standard.forecast(model, data=corpus, effort=EFFORT)
    result = standard.evaluate(model, data=corpus, out=tmp_path / "run", effort=EFFORT)
    assert standard.at(result, MIDDLE).capped == 100
    measured = Counter((one.level, one.member) for one in result.members if one.attacked)
    assert set(measured) <= {(p.level.name, p.member.name) for p in plan.members if p.least}
    assert sum(p.passes for p in plan.members if p.least) >= max(
        cost.passes for cost in result.cost.values()
    )
    assert all((one.seconds > 0) != bool(one.failed) for one in plan.members)
    assert {one.member.name for one in plan.members if one.failed} == {"faster"}  # too few frames


def test_the_command_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = corpus_at(tmp_path, 35.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(standard.EFFORTS, "quick", EFFORT)
    asked = ["evaluate", "--model", "python:tests.standard.toys:fragile", "--data", corpus]
    before = set(tmp_path.rglob("*"))
    done = CliRunner().invoke(app, [*asked, "--effort", "quick", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert set(tmp_path.rglob("*")) == before
    lines = done.stdout.replace(str(tmp_path), "").splitlines()
    assert max(map(len, lines)) <= 80
    least, most = (line for line in lines if "falls" in line and "  " in line)
    assert int(least.split()[5]) < int(most.split()[2].replace(",", ""))
    assert "what takes longest, if nothing falls: " in done.stdout
    refused = CliRunner().invoke(app, [*asked, "--dry-run", "--out", "here", "--json"])
    assert refused.exit_code == 1
    assert "--out and --json do nothing with --dry-run" in str(refused.exception)

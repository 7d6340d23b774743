"""The cascade: fresh draws, resumption, and what does not change the figures."""

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from melmoat import standard
from melmoat.audio import Audio
from melmoat.bench.store import Store, StoreError
from melmoat.cli.app import app
from melmoat.defenses import FrontEnd
from melmoat.draws import Draws
from melmoat.standard.levels import Level
from melmoat.standard.members import Effort
from tests.standard.toys import Beeps, Hiss, speech

AGAIN = "the same command tries them again."
L2 = Level("l2", 42.0)  # some words can be changed, and not all
TINY = Effort("quick", 4, ((3, 1), (4, 2)), 3, ("matched",), (L2,), 2, ())


def figures(home: Path) -> dict[str, Any]:
    """The result without what time and place change."""
    found: dict[str, Any] = json.loads((home / "standard.json").read_text())
    del found["about"]
    for cost in found["cost"].values():
        del cost["seconds"]
    return {name: value for name, value in found.items() if name not in ("data", "members")}


class Stopped(BaseException):
    """Ends a run as Ctrl-C does."""


def test_a_stopped_run_goes_on_to_the_same_figures(tmp_path: Path) -> None:
    model, corpus = Beeps(35.0), speech(3, 35.0)
    whole, again = tmp_path / "whole", tmp_path / "again"
    result = standard.evaluate(model, data=corpus, out=whole, effort=TINY, batch=2)
    calls = 0

    def stop(done: float, total: float, what: str) -> None:
        nonlocal calls
        calls += 1
        if calls == 9:
            raise Stopped

    with pytest.raises(Stopped):
        standard.evaluate(model, data=corpus, out=again, effort=TINY, batch=2, progress=stop)
    assert not (again / "standard.json").exists()
    standard.evaluate(model, data=corpus, out=again, effort=TINY, batch=2)
    assert figures(again) == figures(whole)
    assert result.n == 3
    with pytest.raises(StoreError, match="another defense none"):
        standard.evaluate(model, Hiss(), corpus, whole, effort=TINY)


def test_ten_draws_choose_and_ten_others_judge(tmp_path: Path) -> None:
    seen: list[tuple[int, ...]] = []

    class Spy(Beeps):
        def transcribe(self, audio: Any, draws: Any) -> list[str]:
            seen.append(draws.seeds)
            return super().transcribe(audio, draws)

    effort = replace(TINY, targets=(), queries=2, rounds=((2, 1),))
    result = standard.evaluate(Spy(35.0), Hiss(), speech(1, 35.0), tmp_path, effort=effort)
    assert result.draws == 10
    store = Store(tmp_path / "members")
    for cell in store.cells():
        for row in store.rows(cell):
            drawn = row["draws"]
            assert len(drawn["choosing"]) == len(drawn["judging"]) == 10
            assert row["adversarial"] == drawn["judging"][0]["text"]
    assert len(set(seen)) == len(seen)  # nobody hears with the draws of another
    names = {line.member for line in result.members}
    assert {"apgd", "pgd", "pgd, 2 draws"} <= names  # the draws were doubled


class Rustles(FrontEnd):
    """Noise that it does not declare, in long recordings alone."""

    def __call__(self, audio: Audio, draws: Draws) -> Audio:
        long = audio.lengths[:, None] > 2000
        return audio.with_wav(audio.wav + 1e-3 * draws.normal(audio.wav) * long)


def test_rows_of_one_draw_and_of_ten_are_not_mixed(tmp_path: Path) -> None:
    corpus = [*speech(1, 35.0), *speech(1, 35.0, words=2)]  # the short one is chosen first
    effort = replace(TINY, targets=(), queries=2, rounds=((2, 1),))
    model = Beeps(35.0)
    one = standard.evaluate(model, Rustles(), corpus, tmp_path, effort=effort, limit=1)
    assert one.draws == 1
    with pytest.raises(StoreError, match=r"1 judging draw\(s\), and the system wants 10 now"):
        standard.evaluate(model, Rustles(), corpus, tmp_path, effort=effort, limit=2)


def test_only_cheap_members_attack_at_levels_that_are_not_deep(tmp_path: Path) -> None:
    box = Level("linf", 45.0)
    effort = replace(TINY, levels=(box, L2), deep=(L2,), targets=("matched",))
    result = standard.evaluate(Beeps(35.0), data=speech(2, 35.0), out=tmp_path, effort=effort)
    names: dict[str, set[str]] = defaultdict(set)
    for line in result.members:
        names[line.level].add(line.member)
    assert names[box.name] == {"noise", "apgd", "margin", "pgd"}
    assert names[L2.name] >= {"noise", "apgd", "margin", "target matched", "long apgd, 3 steps"}


def test_quieter_levels_are_tried_until_half_of_the_words_hold(tmp_path: Path) -> None:
    loud, middle, quiet = (Level("l2", db) for db in (40.0, 50.0, 60.0))
    effort = replace(TINY, targets=(), quiet=(middle, quiet))
    model, corpus = Beeps(35.0), speech(2, 35.0)
    broken, holds = (
        standard.evaluate(
            model, data=corpus, out=tmp_path / level.name, effort=replace(effort, levels=(level,))
        )
        for level in (loud, middle)
    )
    assert [found.level for found in broken.levels] == ["l2 50 dB", "l2 40 dB"]
    assert [found.level for found in holds.levels] == ["l2 50 dB", "l2 10 dB"]
    assert broken.half is not None
    assert broken.half.db is not None
    assert 40 < broken.half.db < 50
    assert {one.member for one in broken.members if one.level == "l2 50 dB"} == {
        "noise", "apgd", "margin"}  # fmt: skip


def test_the_command_prints_80_columns_and_its_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from melmoat.data.in_memory import write_corpus

    corpus, _ = write_corpus(speech(2, 35.0), tmp_path / "data")
    monkeypatch.setitem(standard.EFFORTS, "quick", replace(TINY, targets=()))
    asked = ["evaluate", "--model", "python:tests.standard.toys:fragile", "--data", corpus]
    out = ["--effort", "quick", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(app, [*asked, *out])
    assert done.exit_code == 4, done.output  # two utterances show nothing
    assert "NOT FOR PUBLICATION" in done.output
    assert "verdict: INCOMPLETE" in done.output
    lines = done.output.replace(str(tmp_path), "").splitlines()
    assert max(map(len, lines)) <= 80
    told = json.loads((tmp_path / "run" / "standard.json").read_text())
    assert told["version"] == "standard-1"
    assert told["publishable"] is False


def test_an_utterance_that_fails_without_an_attack_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from melmoat.data.in_memory import write_corpus

    corpus, _ = write_corpus(speech(3, 35.0), tmp_path / "data")
    broken = sorted((tmp_path / "data").glob("*/*.wav"))[1]
    broken.write_bytes(b"RIFF and nothing else")
    effort = replace(TINY, targets=(), queries=2, rounds=((2, 1),))
    result = standard.evaluate(Beeps(35.0), data=corpus, out=tmp_path / "run", effort=effort)
    assert result.n == 2
    assert list(result.failures["clean"]) == [broken.stem]
    told = " ".join(standard.text(result).split())
    assert f"1 utterance(s) failed without an attack and are in no figure; {AGAIN}" in told
    assert f"The first: {broken.stem}: " in told
    fine = replace(result, verdict="no sign found")
    monkeypatch.setattr(standard, "evaluate", lambda *args, **options: fine)
    assert CliRunner().invoke(app, ["evaluate", "--out", str(tmp_path / "x")]).exit_code == 4
    whole = replace(fine, failures={})
    monkeypatch.setattr(standard, "evaluate", lambda *args, **options: whole)
    assert CliRunner().invoke(app, ["evaluate", "--out", str(tmp_path / "x")]).exit_code == 0

"""standard.json is read again; what cannot be right is refused."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from melmoat import standard
from melmoat.errors import MelmoatError
from melmoat.standard.book import Book
from melmoat.standard.levels import Level
from melmoat.standard.members import EFFORTS, FULL
from melmoat.standard.places import mean_of
from melmoat.standard.reading import contradictions, read_result
from melmoat.standard.result import utterances_of
from tests.standard.made_results import made, told
from tests.standard.rows import member, row
from tests.standard.toys import Beeps, speech


@pytest.fixture(scope="module")
def told_and_read(tmp_path_factory: pytest.TempPathFactory) -> tuple[standard.Result, Path]:
    """A real evaluation: a full effort that is small here, on two utterances."""
    home = tmp_path_factory.mktemp("full")
    small = replace(
        FULL, steps=2, rounds=((2, 1),), queries=2, targets=(), most_passes=2, surrogates=()
    )
    before = Path.cwd()
    os.chdir(home)  # a spec has no path of this machine
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(EFFORTS, "full", small)
            result = standard.evaluate(Beeps(35.0), data=speech(2, 35.0), out="run")
    finally:
        os.chdir(before)
    return result, home / "run" / standard.FILE


def test_what_was_written_is_read_again(told_and_read: tuple[standard.Result, Path]) -> None:
    result, path = told_and_read
    assert told(read_result(path)) == told(result)
    assert result.levels[0].level == "l2 50 dB"  # 40 dB broke it, and 50 did not
    assert result.half is not None
    assert result.half.db is not None
    assert result.half.db > 40


def test_many_levels_fit_into_80_columns(told_and_read: tuple[standard.Result, Path]) -> None:
    result, _ = told_and_read
    one = result.members[0]
    every = tuple(replace(one, level=found.level) for found in result.levels)
    lines = standard.text(replace(result, members=every)).splitlines()
    heads = [line.split("attacked")[1] for line in lines if line.startswith("points added")]
    assert max(map(len, lines)) <= 80
    assert "".join(heads).split() == [word for f in result.levels for word in f.level.split()]
    assert len(heads) == 2  # five levels
    long = replace(one, member="long lattice, 10000 steps x 200", added=10.0, attacked=130)
    wide = tuple(replace(long, level=found.level) for found in result.levels)
    lines = standard.text(replace(result, members=every + wide)).splitlines()
    assert max(map(len, lines)) <= 80
    (row, _) = (line for line in lines if line.startswith(long.member))
    assert row.count("+10.0 / 130") == 4
    (mean,) = (line for line in lines if line.startswith("mean of the worst case over l2 60 to 20"))
    assert f": {mean_of(result).text} % [" in mean


def test_a_quieter_level_that_is_missing_is_asked_for(
    told_and_read: tuple[standard.Result, Path], tmp_path: Path
) -> None:
    found = told(told_and_read[0])
    found["levels"] = [one for one in found["levels"] if one["level"] != "l2 50 dB"]
    del found["utterances"]["capped"]["l2 50 dB"]
    path = tmp_path / "standard.json"
    path.write_text(json.dumps(found))
    with pytest.raises(MelmoatError, match=r"l2 40 dB has 100\.0 %, so l2 50 dB is missing"):
        read_result(path)


def test_the_errors_of_the_utterances_give_the_figures(
    told_and_read: tuple[standard.Result, Path],
) -> None:
    result, _ = told_and_read
    u = result.utterances
    assert u.lengths == (3, 3)  # the words of each of these
    for figures in (result.clean, *result.levels):
        assert figures.capped == pytest.approx(100 * sum(u.capped[figures.level]) / 6)


def test_the_errors_are_means_of_judging_draws_and_capped() -> None:
    loud = Level("l2", 20.0)
    book = Book([{**row(n, "GO ON", ["GO ON"] * 2), "normaliser": "plain"} for n in "ba"])
    heard = [row("a", "GO ON", ["", ""], ["GO", "A B C D"]), row("b", "GO ON", ["GO"] * 2)]
    book.add(loud, member("one"), heard)
    found = utterances_of(book, [loud])
    assert found.ids == ("a", "b")
    assert found.normaliser == "plain"
    assert found.lengths == (2, 2)
    assert found.capped == {"clean": (0.0, 0.0), "l2 20 dB": (1.5, 1.0)}


def test_an_effort_of_your_own_is_not_the_full_one() -> None:
    assert FULL.label == "full"
    assert replace(FULL, steps=3).label == "custom"


Break = Callable[[dict[str, Any]], Any]
FAULTS: dict[str, tuple[Break, str]] = {
    "old schema": (lambda f: f.update(schema=1), "schema 1, expected 2; run the same command"),
    "other version": (lambda f: f.update(version="standard-0"), "only figures of standard-1"),
    "quick": (lambda f: f.update(effort="quick", publishable=False), "not for publication"),
    "custom": (lambda f: f.update(effort="custom"), "effort 'custom' is not for publication"),
    "mark": (lambda f: f.update(publishable=False), "publishable: False"),
    "missing": (lambda f: f.pop("findings"), r"missing \['findings'\]"),
    "unknown": (
        lambda f: f["clean"].update(better=1),
        r"clean: missing \[\], unknown \['better'\]",
    ),
    "type": (lambda f: f.update(n="20"), r"n: expected <class 'int'>, got '20'"),
    "verdict": (lambda f: f.update(verdict="suspect"), "its checks say no sign found"),
    "check": (lambda f: f["findings"].pop(), "expected these checks once"),
    "level": (lambda f: f["levels"].pop(), "contradicts itself: levels"),
    "rate": (lambda f: f["levels"][-1].update(capped=1.0), "l2 20 dB: capped 1.0, but the utt"),
    "worst": (lambda f: f["levels"][-1].update(worst_draw=1.0), "the worst draw is better"),
    "count": (lambda f: f.update(n=19), "19 utterances, but 20 names"),
    "twice": (lambda f: f["utterances"]["ids"].__setitem__(0, "u01"), "but 19 names"),
    "errors": (lambda f: f["utterances"]["capped"]["clean"].pop(), "20 utterances and 19 errors"),
    "few": (lambda f: f["utterances"]["capped"]["l2 20 dB"].pop(), "20 utterances and 19 errors"),
    "fewer": (
        lambda f: [errors.pop() for errors in f["utterances"]["capped"].values()],
        "clean: 20 utterances and 19 errors",
    ),
    "clean": (lambda f: f["clean"].update(level="l2 20 dB"), "clean speech are those of l2 20 dB"),
    "lost": (
        lambda f: f.update(failures={"clean": {"u99": "no sound"}}),
        "1 utterance.* in no fig",
    ),
    "huge": (lambda f: f["clean"].update(wer=10**400), r"clean\.wer: expected .*float"),
    "many": (lambda f: f["utterances"]["lengths"].__setitem__(0, 3), "or more than words"),
    "grows": (
        lambda f: f["utterances"]["capped"].update(
            {"l2 20 dB": [0.5] * 20, "l2 30 dB": [1.0] * 20}
        ),
        "fewer errors at l2 20 dB than at l2 30 dB",
    ),
    "half": (lambda f: f["half"].update(db=33.0), "half of the words"),
    "cost": (lambda f: f["cost"].pop("u03"), "the cost is that of other utterances"),
    "path": (lambda f: f.update(data="an4:/home/me/an4"), "a path of one machine"),
    "model": (lambda f: f.update(model="hf:folder=~/mine"), "a path of one machine"),
    "metric": (lambda f: f.update(metric="PER"), "metric PER"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_cannot_be_right_is_refused(name: str, tmp_path: Path) -> None:
    spoil, said = FAULTS[name]
    found = told(made([4] * 20))
    spoil(found)
    path = tmp_path / "standard.json"
    path.write_text(json.dumps(found))
    with pytest.raises(MelmoatError, match=said) as caught:
        read_result(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[1]", '{"schema": NaN}', '{"schema": 2'])
def test_damaged_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "standard.json"
    path.write_text(text)
    with pytest.raises(MelmoatError, match=r"readable standard\.json|expected a standard\.json"):
        read_result(path)


def test_with_randomness_the_judged_worst_case_may_shrink() -> None:
    noisy = made([2.5] * 20, draws=10)
    capped = {**noisy.utterances.capped, "l2 40 dB": (0.1,) * 20}
    shrunk = replace(noisy, utterances=replace(noisy.utterances, capped=capped))
    said = list(contradictions(shrunk))
    assert all("fewer errors" not in fault for fault in said)
    assert said  # the figures are those of before

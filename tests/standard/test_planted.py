"""Planted defenses that only look robust: each is found broken, and it is said by what."""

from pathlib import Path

import pytest

from melmoat import standard
from melmoat.defenses import FrontEnd
from melmoat.standard.levels import LINF, Level
from melmoat.standard.members import Effort
from melmoat.standard.result import Result
from tests.standard.toys import (
    Beeps,
    Detects,
    FixedNoise,
    OnlyL2,
    Shattered,
    Undeclared,
    Vanishing,
    Zero,
    speech,
)

pytestmark = pytest.mark.slow  # some seconds each

L2 = Level("l2", 30.0)
SMALL = Effort(
    "quick",
    steps=12,
    rounds=((8, 1), (12, 2)),
    queries=6,
    targets=("", "matched"),
    levels=(L2,),
    most_passes=2,
    surrogates=(),
)
BOTH = Effort("quick", 12, ((8, 1), (12, 2)), 6, ("matched",), (LINF, L2), 2, ())


def run(out: Path, defense: FrontEnd, effort: Effort = SMALL, count: int = 6) -> Result:
    return standard.evaluate(Beeps(35.0), defense, speech(count, 35.0), out, effort=effort)


def signs(result: Result) -> set[str]:
    return {finding.check for finding in result.findings if finding.status == "sign"}


@pytest.mark.parametrize(
    ("defense", "sign", "member"),
    [
        (Zero(), "live gradient", "bpda"),
        (Shattered(), "live gradient", "bpda"),
        (Vanishing(), "live gradient", "apgd"),
        (FixedNoise(), "declared randomness", "margin"),
        (Detects(), "same to attacker and judge", "transfer"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, FrontEnd) else str(value),
)
def test_each_is_found_broken(tmp_path: Path, defense: FrontEnd, sign: str, member: str) -> None:
    result = run(tmp_path, defense)
    found = standard.at(result, L2)
    assert result.clean.capped == 0
    assert found.capped is not None
    assert found.capped >= 80
    assert max(found.by, key=lambda name: found.by[name]) == member
    assert result.verdict == "suspect"
    assert sign in signs(result)


def test_one_that_is_robust_only_to_l2_steps_falls_to_linf(tmp_path: Path) -> None:
    result = run(tmp_path, OnlyL2(), BOTH)
    box = standard.at(result, LINF)
    assert box.capped == 100
    assert box.by == {"apgd": 6}
    assert standard.at(result, L2).capped == 100  # whose ball has the box in it


def test_randomness_that_nobody_declared_is_a_sign(tmp_path: Path) -> None:
    result = run(tmp_path, Undeclared(), count=2)
    assert "declared randomness" in signs(result)
    assert result.draws == 10


def test_nothing_is_found_in_what_is_robust(tmp_path: Path) -> None:
    result = standard.evaluate(Beeps(13.0), data=speech(20, 13.0), out=tmp_path, effort=SMALL)
    assert standard.at(result, L2).capped == 0  # no perturbation of 30 dB changes a frame
    assert standard.at(result, Level("l2", 10.0)).capped == 100  # any at 19 dB changes all
    assert result.verdict == "no sign found", standard.text(result)

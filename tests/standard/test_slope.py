from dataclasses import replace
from pathlib import Path

import pytest

from melmoat.analysis.evidence import Finding, Status
from melmoat.standard.reading import read_result
from melmoat.standard.result import Result
from melmoat.standard.slope import slope_of
from tests.standard.made_results import made

ENTRIES = Path(__file__).parents[2] / "results" / "standard"


def finding(check: str, status: Status, text: str) -> Result:
    result = made([4] * 20)
    found = Finding(check, status, text)
    return replace(
        result, findings=tuple(found if f.check == check else f for f in result.findings)
    )


def test_what_the_attackers_followed() -> None:
    assert slope_of(made([4] * 20)) == "exact"
    assert slope_of(finding("exact gradient", "ok", "none flows; they took BPDA")) == "stand-in"
    assert slope_of(finding("exact gradient", "sign", "none flows, and no BPDA")) == "none"
    assert slope_of(finding("live gradient", "sign", "zero: the defense masks it")) == "none"


def test_another_defense_under_attack_is_a_stand_in() -> None:
    result = made([4] * 20, defense="mulaw")
    line = replace(result.members[0], defense="mulaw:gradient=bpda")
    assert slope_of(result) == "exact"
    assert slope_of(replace(result, members=(line,))) == "stand-in"


@pytest.mark.parametrize(
    ("name", "slope"), [("hama-none", "exact"), ("hama-at", "exact"), ("hama-mulaw", "stand-in")]
)
def test_the_committed_entries(name: str, slope: str) -> None:
    assert slope_of(read_result(ENTRIES / f"{name}.json")) == slope

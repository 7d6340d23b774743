import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat.analysis.results import Result
from melmoat.cli.app import app
from tests.bench.hand_made import result
from tests.bench.writing import write_run

CLI = CliRunner()


def run(*words: object, code: int = 0) -> str:
    found = CLI.invoke(app, [str(w) for w in words], catch_exceptions=False)
    assert found.exit_code == code, found.output
    return found.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made: list[Result] = [
        result("none", "none", 4.0),
        result("none", "pgd:db=20", 90.0),
        result("rs", "none", 5.0),
        result("rs", "pgd:db=20", 60.0),
        result("rs", "pgd:db=20,steps=500", 80.0),
    ]
    write_run(tmp_path / "run", made)
    return tmp_path / "run"


def test_audit_prints_a_verdict_with_its_evidence(folder: Path) -> None:
    text = run("audit", folder, code=3)
    assert "suspect" in text
    assert "1 defended row: 1 suspect" in text
    found = json.loads(run("audit", folder, "--json", code=3))
    assert [row["defense"] for row in found] == ["rs"]
    (steps,) = [f for f in found[0]["findings"] if f["check"] == "more steps"]
    assert steps["status"] == "sign"
    assert steps["figures"][0]["difference"]["points"] == pytest.approx(20.0)


def test_audit_of_no_run_is_a_plain_error(tmp_path: Path) -> None:
    found = CLI.invoke(app, ["audit", str(tmp_path)])
    assert "no run.json here" in str(found.exception)


def test_systems_are_compared_by_their_specs(folder: Path) -> None:
    text = run("compare", folder, "--row", "ds2-an4 / none", "--row", "ds2-an4 / rs")
    assert "attack none: WER" in text
    assert "attack pgd:db=20: WER" in text
    assert text.count("A - B") == 2


def test_compare_warns_of_different_normalisers(tmp_path: Path) -> None:
    made = [
        result("none", "pgd:db=20", 90.0, n=40),
        result("rs", "pgd:db=20", 60.0, n=40),
        result("none", "pgd:db=20", 80.0, n=40, model="ds2-an4-mg", normaliser="english"),
    ]
    write_run(tmp_path, made)
    text = " ".join(run("compare", tmp_path).split())
    assert text.count("warning: some rows are counted after the normaliser none, and those") == 1
    assert "compared with after english" in text
    found = json.loads(run("compare", tmp_path, "--json"))
    assert [c["normalisers"] for c in found] == [None, ["none", "english"], ["none", "english"]]


def test_compare_prints_differences_and_what_they_need(folder: Path) -> None:
    text = run("compare", folder, "--row", "none / pgd:db=20", "--row", "rs / pgd:db=20")
    assert "+30.0" in text
    assert "needed" in text
    assert "comparisons" not in text
    assert "attack pgd:db=20: WER" in text  # once, and no column for what nobody knows
    assert text.count("pgd:db=20") == 1
    assert "speakers" not in text
    legend, _, table = text.partition("\n\n")
    assert legend.splitlines() == ["A  none", "B  rs"]
    assert "A - B" in table
    found = json.loads(run("compare", folder, folder, "--json"))
    assert len(found) == 5
    assert {c["against"] for c in found} == {"reference"}
    assert {c["difference"]["p"] for c in found} == {1.0}

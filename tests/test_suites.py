"""The suites name parts that exist, and write the table of what they measured."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

SUITES = Path(__file__).parents[1] / "suites"
TABLES = ["paper_table1", "paper_table3", "gradients"]


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SUITES))
    return importlib.import_module("lab")


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_one_of_its_own(name: str, lab: ModuleType) -> None:
    suite = importlib.import_module(name)
    columns = getattr(suite, "COLUMNS", lab.COLUMNS)
    cells = [
        row.cell(attack, "demo")
        for row in suite.ROWS
        for column, attack in columns.items()
        if row.faces(column)
    ]
    assert len({cell.key for cell in cells}) == len(cells) >= len(suite.ROWS) * 3


def test_a_run_measures_what_is_asked_and_shows_what_is_there(
    lab: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = [
        lab.Row("None", "ds2-an4", "none", paper={"benign": 11.0}),
        lab.Row("WGN", "ds2-an4", "wgn:snr=20", stochastic=True),
    ]
    columns = {"benign": "none", lab.EOT: "pgd:norm=snr,db=20,steps=1,eot=2"}

    def table(*words: str) -> list[list[str]]:
        given = ["x", "--data", "demo", "--out", str(tmp_path), "--limit", "2", *words]
        monkeypatch.setattr(sys, "argv", given)
        lab.run(rows, "x", "", limit=2, columns=columns)
        lines = capsys.readouterr().out.splitlines()[2:]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    first = table("--columns", "benign")
    assert [line[0] for line in first] == ["None", "*None, paper*", "WGN"]
    assert [line[2] for line in first] == ["", "", "-"]
    assert first[1][1] == "*11.0*"
    assert first[0][1][0].isdigit()
    second = table("--rows", "WGN")
    assert [line[1] for line in second] == [line[1] for line in first]
    assert [line[2] for line in second][:2] == ["", ""]
    assert second[2][2] not in ("", "-")

from dataclasses import replace
from pathlib import Path

import pytest

from melmoat.analysis.compare import compare_runs
from melmoat.analysis.results import Result
from melmoat.errors import MelmoatError
from tests.bench.hand_made import result
from tests.bench.writing import write_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = [
        result("none", "none", 4.0, n=40),
        result("none", "pgd:db=20", 90.0, n=40),
        result("rs", "none", 5.0, n=40),
        result("rs", "pgd:db=20", 60.0, n=40),
        result("stft", "pgd:db=20", 61.0, n=40),
    ]
    write_run(tmp_path / "run", made)
    return tmp_path / "run"


def test_rows_of_one_run_pair_under_the_same_attack(folder: Path) -> None:
    found = compare_runs(folder)
    assert [(c.ours, c.other) for c in found] == [
        ("ds2-an4 / none / none", "ds2-an4 / rs / none"),
        ("ds2-an4 / none / pgd:db=20", "ds2-an4 / rs / pgd:db=20"),
        ("ds2-an4 / none / pgd:db=20", "ds2-an4 / stft / pgd:db=20"),
        ("ds2-an4 / rs / pgd:db=20", "ds2-an4 / stft / pgd:db=20"),
    ]
    assert found[1].difference is not None
    assert found[1].difference.points == pytest.approx(30.0)


def test_rows_whose_texts_are_normalised_differently_do_not_pair(tmp_path: Path) -> None:
    made = [
        result("none", "pgd:db=20", 90.0, n=40),
        result("rs", "pgd:db=20", 60.0, n=40),
        result("none", "pgd:db=20", 95.0, n=40, model="ds2-an4-mg", normaliser="english"),
        result("rs", "pgd:db=20", 75.0, n=40, model="ds2-an4-mg", normaliser="english"),
    ]
    for row in (row for r in made[2:] for row in r.rows.values()):
        row["counts"]["adversarial"]["words"][1] = 9  # words of the reference, normalised
    write_run(tmp_path, made)
    pairs = [{name.split(" / ")[0] for name in (c.ours, c.other)} for c in compare_runs(tmp_path)]
    assert pairs == [{"ds2-an4"}, {"ds2-an4-mg"}]


def test_two_rows_by_a_part_of_their_name(folder: Path) -> None:
    (found,) = compare_runs(folder, rows=["stft", "rs / pgd:db=20"])
    assert found.difference is not None
    assert found.difference.points == pytest.approx(1.0, abs=1.0)
    (again,) = compare_runs(folder, rows=["stft", "rs:snr=15,votes=5 / pgd:norm=snr,db=20"])
    assert again == found
    with pytest.raises(MelmoatError, match=r"2 rows called 'rs'"):
        compare_runs(folder, rows=["stft", "rs"])
    with pytest.raises(MelmoatError, match="no row called 'mdnf'"):
        compare_runs(folder, rows=["stft", "mdnf"])
    with pytest.raises(MelmoatError, match="two rows"):
        compare_runs(folder, rows=["stft"])


def test_two_runs_pair_by_cell(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    write_run(other, [result("rs", "pgd:db=20", 80.0, n=30), result("wgn", "none", 5.0, n=30)])
    (found,) = compare_runs(folder, other)
    assert found.n == 30
    assert found.difference is not None
    assert found.difference.points == pytest.approx(-20.0)
    assert found.ours.startswith(f"{folder}: ")
    with pytest.raises(MelmoatError, match=r"no two targeted attacks.*\n  none"):
        compare_runs(folder, target=True)
    write_run(tmp_path / "third", [result("wgn", "none", 5.0, n=30)])
    with pytest.raises(MelmoatError, match="no two rows"):
        compare_runs(folder, tmp_path / "third")


def test_rows_without_an_utterance_in_common_are_told(tmp_path: Path) -> None:
    made = result("stft", "none", 5.0, n=3)
    renamed = {f"v{name}": {**row, "id": f"v{name}"} for name, row in made.rows.items()}
    write_run(tmp_path / "run", [result("rs", "none", 5.0, n=3), replace(made, rows=renamed)])
    with pytest.raises(MelmoatError, match="no utterance in common"):
        compare_runs(tmp_path / "run")


def on(made: Result, data: str, seed: int = 0) -> Result:
    cell = replace(made.cell, data=data, seed=seed)
    return Result(cell, cell.key, made.rows)


def test_corpora_and_seeds_are_not_crossed_and_are_named(tmp_path: Path) -> None:
    made = result("none", "none", 5.0, n=30)
    two = [on(made, "demo"), on(made, "demo", 7)]
    for name in ("run", "again"):
        write_run(tmp_path / name, two)
    found = compare_runs(tmp_path / "run", tmp_path / "again")
    assert [c.ours.partition(": ")[2] for c in found] == [
        "ds2-an4 / none / none on demo",
        "ds2-an4 / none / none on demo, seed 7",
    ]
    assert all(c.ours.partition(": ")[2] == c.other.partition(": ")[2] for c in found)
    (one,) = compare_runs(tmp_path / "run", tmp_path / "again", ["seed 7", "seed 7"])
    assert one.n == 30
    with pytest.raises(
        MelmoatError, match=r"2 rows called 'none'; name one of these\n.* on demo\n.*seed 7"
    ):
        compare_runs(tmp_path / "run", tmp_path / "again", ["none", "seed 7"])

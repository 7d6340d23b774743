import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from melmoat.analysis.results import compare, read_results, speakers_of
from melmoat.bench.cell import Cell
from melmoat.bench.store import Store, StoreError
from tests.bench.hand_made import result
from tests.bench.writing import write_run


def test_a_run_comes_back_in_its_order(tmp_path: Path) -> None:
    made = [result("rs", "pgd:db=20", 60.0, n=3), result("none", "none", 5.0, n=3)]
    write_run(tmp_path, made)
    found = read_results(tmp_path)
    assert [(r.cell, r.rows) for r in found] == [(r.cell, r.rows) for r in made]
    assert found[0].error_rate == made[0].error_rate


def test_a_run_is_read_by_the_keys_it_names_wherever_its_corpus_is(tmp_path: Path) -> None:
    made = result("none", "none", 5.0, n=3)
    write_run(tmp_path, [made])
    path = Store(tmp_path).path(made.cell)
    path.rename(path.with_name("elsewhere.jsonl"))
    assert not read_results(tmp_path)[0].rows
    run = json.loads((tmp_path / "run.json").read_text())
    run["cells"][0]["key"] = "elsewhere"
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert read_results(tmp_path)[0].rows == made.rows
    del run["cells"][0]["key"]  # as earlier versions wrote it: the summary has it
    (tmp_path / "run.json").write_text(json.dumps(run))
    summary = [{**asdict(made.cell), "key": "elsewhere"}]
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    assert read_results(tmp_path)[0].rows == made.rows


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run.json here"):
        read_results(tmp_path)
    (tmp_path / "standard.json").write_text("{}")
    with pytest.raises(StoreError, match=r"standard.json is its result.*members"):
        read_results(tmp_path)


def test_a_comparison_is_over_what_both_have() -> None:
    ours, other = result("rs", "pgd:db=20", 60.0, n=50), result("none", "pgd:db=20", 90.0, n=30)
    found = compare(ours, other)
    assert found.n == 30
    assert found.difference is not None
    assert found.difference.points == pytest.approx(-30.0)
    assert found.difference.high < -29
    assert str(found).startswith("rs / pgd:db=20 minus none / pgd:db=20: -30.0 points [-30.0, ")
    alone = compare(ours, replace(other, rows={}))
    assert alone.difference is None
    assert "too few utterances in common (0)" in str(alone)


def test_speakers_widen_a_comparison() -> None:
    ours, other = result("rs", "pgd:db=20", 60.0, n=40), result("none", "pgd:db=20", 50.0, n=40)
    for i, row in enumerate(ours.rows.values()):
        row["counts"]["adversarial"]["words"] = [9 if i < 20 else 5, 10]
    names = {name: f"s{i // 5}" for i, name in enumerate(ours.rows)}
    found = compare(ours, other, names)
    assert found.speakers == 8
    assert found.difference is not None
    assert found.by_speaker is not None
    widths = [d.high - d.low for d in (found.by_speaker, found.difference)]
    assert widths[0] > 1.3 * widths[1]


def test_the_same_ids_of_another_corpus_are_refused() -> None:
    ours, other = result("rs", "none", 5.0, n=4), result("none", "none", 5.0, n=4)
    other.rows["u001"]["counts"]["adversarial"]["words"] = [0, 3]
    with pytest.raises(StoreError, match="spelled or normalised differently"):
        compare(ours, other)
    other.rows["u001"]["reference"] = "A B C"
    with pytest.raises(StoreError, match="different references"):
        compare(ours, other)


def test_targeted_attacks_compare_by_what_they_wanted_too() -> None:
    ours, other = (result(name, "cw:target=GO", 90.0, n=30) for name in ("rs", "none"))
    for made, wrong in ((ours, 1), (other, 0)):
        for row in made.rows.values():
            row["target"] = "GO"
            row["counts"]["target"] = {"words": [wrong, 1], "chars": [2 * wrong, 2]}
    assert compare(ours, other).difference == compare(ours, ours).difference
    found = compare(ours, other, target=True)
    assert found.against == "target"
    assert found.difference is not None
    assert found.difference.points == 100.0
    other.rows["u001"]["target"] = "NO"
    with pytest.raises(StoreError, match="different targets"):
        compare(ours, other, target=True)
    with pytest.raises(StoreError, match="not both are targeted"):
        compare(ours, result("none", "pgd:db=20", 90.0, n=30), target=True)


def test_speakers_from_ids_and_from_the_corpus() -> None:
    ids = ["an396-miry-b", "cen5-fcaw-b"]
    assert speakers_of("an4:gone/test", ids) == dict(zip(ids, ("miry", "fcaw"), strict=True))
    assert speakers_of("librispeech:gone", ["1089-134686-0000"]) == {"1089-134686-0000": "1089"}
    assert speakers_of("an4:gone", ["unlike"]) is None
    assert speakers_of("tsv:gone", ["a"]) is None
    demo = speakers_of("demo", ["demo-0001-flite-slt", "demo-0004-flite-slt"])
    assert demo is not None
    assert len(set(demo.values())) == 1


def test_a_cell_of_unknown_parts_and_no_rows_is_passed_over(tmp_path: Path) -> None:
    write_run(tmp_path, [result("none", "none", 5.0, n=2)])
    run = json.loads((tmp_path / "run.json").read_text())
    run["cells"].append(asdict(Cell("ds2-an4", "future", "none", "demo")))
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert len(read_results(tmp_path)) == 1

"""A run's folder as an object."""

import csv
import io
import json
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch

from melmoat import audio, data
from melmoat.analysis.results import Result
from melmoat.audio import Audio
from melmoat.bench import audio_store
from melmoat.bench.labels import Labels
from melmoat.bench.store import Store, StoreError
from melmoat.errors import MelmoatError
from melmoat.report.export import write_audio
from melmoat.runs import Run
from tests.bench.hand_made import result

SYSTEMS = {"none": "None", "rs": "RS"}
ATTACKS = {"none": "benign", "pgd:db=20": "l2 20 dB"}


def write(folder: Path, results: list[Result], labelled: bool = True) -> Path:
    store = Store(folder)
    labels: dict[object, Labels] = {
        r.cell: {"system": SYSTEMS[r.cell.defense], "attack": ATTACKS[r.cell.attack]}
        for r in results
        if labelled
    }
    store.begin([r.cell for r in results], {"batch": 8, "limit": 0}, labels)  # type: ignore[arg-type]
    for made in results:
        store.append(made.cell, made.rows.values())
    store.summarise()
    return folder


def results(n: int = 40) -> list[Result]:
    return [
        result("none", "none", 4.0, n=n),
        result("none", "pgd:db=20", 90.0, n=n),
        result("rs", "none", 5.0, n=n),
        result("rs", "pgd:db=20", 60.0, n=n),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "run", results())


def test_the_table_has_the_labels(folder: Path) -> None:
    text = repr(Run(folder))
    assert "l2 20 dB" in text
    assert "RS" in text
    assert "pgd" not in text
    assert text.startswith("WER %, ds2-an4 on an4:test, 40 utterances")


def test_rows_are_found_by_label_and_by_spec(folder: Path) -> None:
    run = Run(str(folder))
    wanted = results()[3].rows
    for which in ("RS / l2 20 dB", "rs / pgd:db=20", "ds2-an4 / rs / pgd:norm=snr,db=20"):
        assert {row["id"]: row for row in run.rows(which)} == wanted
    assert run.rows(run.summary[3]) == run.rows(results()[3].cell) == run.rows("RS / l2 20 dB")
    assert len(run.rows()) == 160
    assert run.rows()[0]["system_name"] == "None"
    with pytest.raises(
        MelmoatError, match=r"2 rows called 'RS'; name one of these\n  RS / benign\n"
    ):
        run.rows("RS")


def test_systems_pair_by_label_under_every_attack(folder: Path) -> None:
    found = Run(folder).compare(rows=["None", "RS"])
    assert [(c.ours, c.other) for c in found] == [
        ("None / benign", "RS / benign"),
        ("None / l2 20 dB", "RS / l2 20 dB"),
    ]
    assert found[1].difference is not None
    assert found[1].difference.points == pytest.approx(30.0)
    other = Run(folder).compare(folder)
    assert len(other) == 4


def test_a_summary_is_written_for_other_programs(folder: Path, tmp_path: Path) -> None:
    run = Run(folder)
    lines = list(csv.DictReader(io.StringIO(run.to_csv(tmp_path / "x.csv"))))
    assert [line["system_name"] for line in lines] == ["None", "None", "RS", "RS"]
    assert float(lines[3]["wer"]) == run.summary[3]["wer"]
    assert (tmp_path / "x.csv").read_text() == run.to_csv()
    assert len(list(csv.DictReader(io.StringIO(run.to_csv(rows=True))))) == 160
    lines = run.to_markdown().splitlines()
    assert lines[2] == "| system | benign | l2 20 dB |"
    assert lines[5].startswith("| RS | 6.0 [")
    lines = run.to_latex().splitlines()
    assert lines[1:4] == [r"\begin{tabular}{lrr}", r"\toprule", r"system & benign & l2 20 dB \\"]


def test_latex_and_markdown_show_any_name_as_it_is(tmp_path: Path) -> None:
    made = result("none", "none", 4.0)
    store = Store(tmp_path)
    store.begin([made.cell], {}, {made.cell: {"system": "a|b_c & 5 %", "attack": "x"}})
    store.append(made.cell, made.rows.values())
    assert r"| a\|b_c & 5 % |" in Run(tmp_path).to_markdown()
    assert r"a|b\_c \& 5 \% &" in Run(tmp_path).to_latex()


def test_pandas_is_optional(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MelmoatError, match=r'pip install "melmoat\[pandas\]"'):
        Run(folder).to_pandas()
    pandas = ModuleType("pandas")
    pandas.DataFrame = list  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    assert [line["n"] for line in Run(folder).to_pandas()] == [40] * 4
    assert len(Run(folder).to_pandas(rows=True)) == 160


def test_a_frame_of_pandas_has_a_line_a_cell(folder: Path) -> None:
    pytest.importorskip("pandas")
    frame = Run(folder).to_pandas()
    assert list(frame.system_name) == ["None", "None", "RS", "RS"]


def test_audit_and_report_are_those_of_the_commands(folder: Path, tmp_path: Path) -> None:
    run = Run(folder)
    (row,) = run.audit()
    assert row.defense == "rs"
    page = run.report(tmp_path / "page.html")
    assert "RS" in page.read_text()
    assert not (folder / "report.html").exists()
    assert run.report() == folder / "report.html"


def test_no_run_is_a_plain_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no run\.json here"):
        Run(tmp_path)


def with_audio(folder: Path, key: str, utterance: str) -> Audio:
    wave = data.read(list(data.load("demo"))[:1])
    (folder / "audio" / key).mkdir(parents=True)
    for kind in ("clean", "adversarial"):
        audio.save(audio_store.file(folder / "audio" / key, utterance, kind), wave)
    return wave


def test_sound_is_heard_and_exported_with_a_manifest(folder: Path, tmp_path: Path) -> None:
    run = Run(folder)
    with pytest.raises(StoreError, match="no audio of u000"):
        run.audio("u000")
    with pytest.raises(StoreError, match="the run has no audio"):
        write_audio(folder, run.results, tmp_path / "out")
    wave = with_audio(folder, run.summary[3]["key"], "u000")
    heard = run.audio("u000")
    assert list(heard) == ["clean", "adversarial"]
    assert torch.equal(heard["clean"].wav, wave.quantized().wav)
    assert run.audio("u000", "RS / l2 20 dB").keys() == heard.keys()
    manifest, count = write_audio(folder, run.results, tmp_path / "out")
    (line,) = [json.loads(text) for text in manifest.read_text().splitlines()]
    assert count == 1
    assert line["text"] == "A B C D E F G H I J"
    assert line["adversarial"] == "X"
    assert (manifest.parent / line["audio_filepath"]).is_file()
    (cut,) = data.load(f"manifest:{manifest}")
    assert data.written(cut) == line["text"]


def test_runs_are_merged_and_conflicts_refused(tmp_path: Path) -> None:
    made = results()
    halves = [replace(r, rows=dict(list(r.rows.items())[:25])) for r in made[:3]]
    others = [replace(r, rows=dict(list(r.rows.items())[15:])) for r in made[1:]]
    one = Run(write(tmp_path / "one", halves))
    two = write(tmp_path / "two", others, labelled=False)
    with_audio(two, others[0].key, "u030")
    one.merge(two)
    assert [c["n"] for c in one.summary] == [25, 40, 40, 25]
    assert one.rows("None / l2 20 dB")[:1] == [halves[1].rows["u000"]]
    assert "labels" not in one.summary[3]
    before = (tmp_path / "one" / "run.json").read_bytes()
    one.merge(Run(two))
    assert (tmp_path / "one" / "run.json").read_bytes() == before
    rows = {i: {**row, "adversarial": "Y", "seconds": 9} for i, row in made[0].rows.items()}
    write(tmp_path / "odd", [replace(made[0], rows=rows)])
    with pytest.raises(StoreError, match=r"differ on u000 of cell \w+ \(adversarial\)"):
        one.merge(tmp_path / "odd")
    assert (tmp_path / "one" / "run.json").read_bytes() == before
    times = {i: {**row, "seconds": 9, "revision": "x"} for i, row in made[0].rows.items()}
    write(tmp_path / "late", [replace(made[0], rows=times)])
    assert [c["n"] for c in one.merge(tmp_path / "late").summary] == [40, 40, 40, 25]


def test_cells_of_one_name_and_other_weights_are_not_merged(tmp_path: Path) -> None:
    many, few = results()[:1], results(5)[:1]
    one, other = write(tmp_path / "one", many), write(tmp_path / "other", few)
    key, new = many[0].cell.key, "0" * 16
    told = (other / "run.json").read_text()  # as of weights that were trained again
    (other / "run.json").write_text(told.replace(key, new))
    (other / "cells" / f"{key}.jsonl").rename(other / "cells" / f"{new}.jsonl")
    with pytest.raises(StoreError, match=f"ds2-an4 .* other weights.*{key} and {new}"):
        Run(one).merge(other)
    assert [(c["key"], c["n"]) for c in Run(one).summary] == [(key, 40)]


def test_failures_are_merged_too(tmp_path: Path) -> None:
    made = results()[0]
    parts = [
        replace(made, rows=dict(list(made.rows.items())[:n])) for n in (30, 32)
    ]  # u030 has a row in the second alone
    one, two = (write(tmp_path / name, [part]) for name, part in zip("ab", parts, strict=True))
    Store(one).fail(made.cell, "u031", "of the first")
    Store(one).fail(made.cell, "u033", "of the first")
    Store(two).fail(made.cell, "u033", "of the second")
    Store(two).fail(made.cell, "u035", "of the second")
    merged = Run(one).merge(two)
    assert merged.failures == {made.cell.key: {"u033": "of the first", "u035": "of the second"}}
    before = (one / "failures" / f"{made.cell.key}.jsonl").read_bytes()
    merged.merge(two)
    assert (one / "failures" / f"{made.cell.key}.jsonl").read_bytes() == before


def test_a_run_is_not_merged_with_itself(folder: Path) -> None:
    """Where it had audio, the error named each file letter by letter."""
    home = audio_store.home(folder, results()[0].key)
    home.mkdir(parents=True)
    (home / "u000.clean.flac").write_bytes(b"fLaC")
    with pytest.raises(StoreError, match="are the same folder"):
        Run(folder).merge(folder / ".." / folder.name)


def test_a_cell_that_is_measured_meanwhile_is_not_merged(tmp_path: Path) -> None:
    made = results()[0]
    few = replace(made, rows=dict(list(made.rows.items())[:10]))
    one, other = write(tmp_path / "one", [few]), write(tmp_path / "other", [made])
    with (
        Store(one).claimed(made.cell),
        pytest.raises(StoreError, match="another process is measuring cell"),
    ):
        Run(one).merge(other)
    assert [c["n"] for c in json.loads((one / "summary.json").read_text())] == [10]
    assert [c["n"] for c in Run(one).merge(other).summary] == [40]


def test_a_merged_cell_has_the_larger_limit_and_the_labels_that_it_lacks(tmp_path: Path) -> None:
    made = results()[1]
    rows = list(made.rows.items())

    def of(name: str, limit: int, count: int, label: str = "") -> Path:
        store = Store(tmp_path / name)
        store.begin([made.cell], {"limit": limit}, {made.cell: {"attack": label}} if label else {})
        store.append(made.cell, dict(rows[:count]).values())
        return store.folder

    merged = Run(of("few", 8, 8)).merge(of("many", 20, 20, "PGD"))
    assert Store(merged.folder).limits() == {made.cell: 20}
    assert merged.summary[0]["labels"] == {"attack": "PGD"}
    merged.merge(of("all", 0, 40, "other"))
    assert Store(merged.folder).limits() == {made.cell: 0}
    assert merged.summary[0]["labels"] == {"attack": "PGD"}
    merged.merge(of("again", 8, 8))
    assert Store(merged.folder).limits() == {made.cell: 0}

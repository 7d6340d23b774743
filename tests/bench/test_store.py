import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from melmoat.audio import Audio, save
from melmoat.bench.cell import Cell, grid
from melmoat.bench.merging import merge
from melmoat.bench.rows import SCHEMA, current
from melmoat.bench.store import Store, StoreError
from melmoat.bench.summary import summary_of
from melmoat.spec import SpecError

CELL = Cell("ds2-an4", "none", "pgd:db=20", "demo")


def row(name: str, edits: int = 1, words: int = 4) -> dict[str, object]:
    return {
        "id": name,
        "reference": "A B C D",
        "counts": {
            "benign": {"words": [0, words], "chars": [0, 7]},
            "adversarial": {"words": [edits, words], "chars": [edits, 7]},
            "target": None,
        },
        "reached": edits > 0,
        "snr_db": 20.0,
        "seconds": 0.5,
    }


def test_equal_cells_have_equal_keys_and_defaults_count() -> None:
    def key(attack: str, seed: int = 0) -> str:
        (cell,) = grid(["ds2-an4"], ["none"], [attack], ["demo"], seed)
        return cell.key

    assert key("pgd:db=20,steps=50") == key("pgd:steps=50,norm=snr,db=20.0")
    keys = {
        key("pgd:db=20"),
        key("pgd:db=20,steps=50"),
        key("pgd:db=20", seed=1),
        key("none"),
    }
    assert len(keys) == 4


def test_seeds_differ_by_cell_seed_and_utterance() -> None:
    other = Cell(CELL.model, CELL.defense, CELL.attack, CELL.data, seed=1)
    assert len({CELL.seed_of("a"), CELL.seed_of("b"), other.seed_of("a")}) == 3
    assert CELL.seed_of("a") == CELL.seed_of("a")


def test_a_key_is_of_what_lies_at_a_path_not_of_the_path(tmp_path: Path) -> None:
    def key(folder: str, weights: bytes, text: str = "t") -> str:
        home = tmp_path / folder
        home.mkdir(exist_ok=True)
        (home / "w.safetensors").write_bytes(weights)
        (home / "transcripts.tsv").write_text(text)
        return Cell(f"deepspeech2:{home / 'w.safetensors'}", "none", "none", f"tsv:{home}").key

    first = key("a", b"1")
    assert first == key("b", b"1")
    assert len({first, key("c", b"2"), key("d", b"1", "u")}) == 3


def test_a_key_is_of_the_system_that_a_transfer_is_crafted_on(tmp_path: Path) -> None:
    def key(spec: str) -> str:
        return Cell("ds2-an4", "none", spec, "demo").key

    for name, content in {"a": b"1", "b": b"1", "c": b"2"}.items():
        (tmp_path / name).write_bytes(content)
    a, b, c = (key(f"transfer:deepspeech2:{tmp_path / name},attack=none") for name in "abc")
    assert a == b != c
    pgd = "transfer:model=ds2-an4,attack=(pgd:{})"
    same = [key(pgd.format(options)) for options in ("db=20,steps=5", "steps=5,norm=snr,db=20.0")]
    assert same[0] == same[1]
    others = {
        key(pgd.format("db=20,steps=6")),
        key("transfer:model=ds2-an4-mg,attack=(pgd:db=20,steps=5)"),
        key("transfer:model=ds2-an4,defense=wgn,attack=(pgd:db=20,steps=5)"),
        key("pgd:db=20,steps=5"),
    }
    assert len(others | set(same)) == 5


def test_keys_of_committed_rows_stay() -> None:
    """Rows of results/an4 are found by such keys; a change here orphans them."""
    cell = Cell("ds2-an4", "none", "pgd:db=20,steps=50", "tsv:gone/test")
    assert cell.key == "fe0ce48f7ca074aa"


OLDER = {  # keys of before rs and wgn had level=, when they meant what is level=file now
    ("rs:snr=15,votes=5,level=file", "none"): "9aff450cdb5acb6e",
    ("wgn:snr=20,level=file", "none"): "77e6924ecd26e960",
    (
        "none",
        "transfer:model=ds2-an4,defense=(wgn:level=file),attack=(pgd:db=20,steps=5)",
    ): "3721199d57aec86d",
}


@pytest.mark.parametrize(("parts", "key"), OLDER.items())
def test_an_option_that_came_late_leaves_older_keys_and_makes_new_ones(
    parts: tuple[str, str], key: str
) -> None:
    later = [spec.replace("level=file", "level=loudest") for spec in parts]
    (now,), (then,) = (grid(["ds2-an4"], [d], [a], ["demo"]) for d, a in (later, parts))
    assert then.key == key != now.key
    assert grid(["ds2-an4"], ["rs:level=loudest"], ["none"], ["demo"])[0].defense == "rs"


def test_a_run_of_before_an_option_is_read_as_what_it_was(tmp_path: Path) -> None:
    store = Store(tmp_path)
    old = Cell("ds2-an4", "wgn:snr=20", "none", "demo")
    told = {**asdict(old), "key": "77e6924ecd26e960", "limit": 0}
    (tmp_path / "run.json").write_text(json.dumps({"cells": [told]}))
    then = Cell("ds2-an4", "wgn:snr=20,level=file", "none", "demo")
    assert store.keys() == {then: then.key}
    store.begin([old], {})
    assert store.keys() == {then: "77e6924ecd26e960", old: old.key}
    assert [cell["defense"] for cell in store.run()["cells"]] == [
        "wgn:snr=20,level=file",
        "wgn:snr=20,level=loudest",
    ]


def test_a_key_is_of_the_vocoder_and_the_curve_that_a_defense_names(tmp_path: Path) -> None:
    def key(defense: str) -> str:
        return Cell("ds2-an4", defense, "none", "demo").key

    def files(folder: str, vocoder: bytes, curve: str) -> str:
        home = tmp_path / folder
        home.mkdir()
        (home / "v.safetensors").write_bytes(vocoder)
        (home / "c.json").write_text(curve)
        return key(f"mdnf:vocoder=trained:{home / 'v.safetensors'},shaping={home / 'c.json'}")

    first = files("a", b"1", "{}")
    assert first == files("b", b"1", "{}")
    beside = tmp_path / "b" / "config.yml"
    beside.write_text("fmin: 80")
    changed = key(f"mdnf:vocoder=trained:{tmp_path}/b/v.safetensors,shaping={tmp_path}/b/c.json")
    assert changed != first
    others = {
        files("c", b"2", "{}"),
        files("d", b"1", "[]"),
        key("mdnf:vocoder=griffin-lim,shaping=flat"),
        key("mdnf:vocoder=griffin-lim:iterations=8,shaping=flat"),
        key("resynth:vocoder=griffin-lim"),
        key("resynth:vocoder=(griffin-lim:iterations=8,momentum=0.5)"),
    }
    assert len({first, *others}) == 7
    same = key("resynth:vocoder=griffin-lim:iterations=32")
    assert key("resynth:vocoder=griffin-lim") == same


def test_a_grid_is_every_combination_once_and_checked_first() -> None:
    cells = grid(["ds2-an4"], ["none", "rs"], ["none", "pgd:db=20", "pgd:db=20.0"], ["demo"])
    assert len(cells) == 4
    with pytest.raises(SpecError, match="unknown attack"):
        grid(["ds2-an4"], ["none"], ["none", "pdg"], ["demo"])
    with pytest.raises(SpecError, match="votes must be at least 1"):
        grid(["ds2-an4"], ["rs:votes=0"], ["none"], ["demo"])
    with pytest.raises(SpecError, match="takes db"):
        grid(["ds2-an4"], ["none"], ["pgd"], ["demo"])


def test_rows_come_back_and_a_torn_line_is_dropped_then_mended(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert store.rows(CELL) == []
    store.append(CELL, [row("a"), row("b")])
    path = store.path(CELL)
    whole = path.read_bytes()
    for cut in (1, 7, len(whole) // 2 - 3):
        path.write_bytes(whole[:-cut])
        assert [r["id"] for r in store.rows(CELL)] == ["a"]
        store.append(CELL, [row("b")])
        assert path.read_bytes() == whole
    path.write_bytes(b"{torn")
    store.append(CELL, [row("a")])
    assert [r["id"] for r in store.rows(CELL)] == ["a"]


@pytest.mark.parametrize("bad", ["damaged", "123", "null", '{"id": "x"}', '{"counts": {}}', "[]"])
def test_a_damaged_line_in_the_middle_is_named_and_costs_no_other(tmp_path: Path, bad: str) -> None:
    store = Store(tmp_path)
    store.append(CELL, [row("a")])
    path = store.path(CELL)
    whole = path.read_bytes()
    path.write_bytes(whole + bad.encode() + b"\n" + whole)
    with pytest.raises(StoreError, match=r"line 2 is damaged .* Delete that line"):
        store.rows(CELL)


def test_a_row_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(CELL, [row("a"), row("b") | {"schema": SCHEMA}, row("c") | {"schema": SCHEMA + 1}])
    with pytest.raises(StoreError, match=f"line 3 is of schema {SCHEMA + 1}.*upgrade"):
        store.rows(CELL)


def test_a_summary_of_schema_1_is_read_in_the_words_of_today() -> None:
    assert current({"wer": 1.0, "success": 25.0}) == {"wer": 1.0, "reached": 25.0}
    now = summary_of(CELL, [row("a")])
    assert current(now) == now
    assert now["schema"] == SCHEMA


def test_a_row_whose_id_is_empty_is_no_damage(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(CELL, [row(""), row("a")])
    assert [r["id"] for r in store.rows(CELL)] == ["", "a"]


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
@pytest.mark.parametrize("text", ["{", "[1]", '{"cells": 1}', '{"cells": [{"model": 3}]}'])
def test_a_damaged_run_is_an_error(tmp_path: Path, name: str, text: str) -> None:
    store = Store(tmp_path)
    store.begin([CELL], {})
    run = json.loads((tmp_path / "run.json").read_text())
    del run["cells"][0]["key"]  # as in runs of earlier versions
    (tmp_path / "run.json").write_text(json.dumps(run))
    (tmp_path / name).write_text(text)
    with pytest.raises(StoreError, match=f"{name}: not a"):
        store.keys()


def test_a_cell_keeps_its_rows_where_its_corpus_is_gone(tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    (corpus / "transcripts.tsv").write_text("id\n")
    store, cell = Store(tmp_path / "run"), Cell("ds2-an4", "none", "none", f"tsv:{corpus}")
    store.begin([cell], {})
    store.append(cell, [row("a"), row("b")])
    (corpus / "transcripts.tsv").unlink()
    corpus.rmdir()
    store.begin([CELL], {})  # another call into the folder
    kept = {summary["data"]: summary["n"] for summary in store.summarise()}
    assert kept == {cell.data: 2, "demo": 0}


def test_corpora_of_the_same_texts_and_other_audio_are_not_confused(tmp_path: Path) -> None:
    def corpus(name: str, level: float) -> Cell:
        home = tmp_path / name
        home.mkdir()
        (home / "transcripts.tsv").write_text("id\ttext\tpath\na\tGO\ta.wav\n")
        save(home / "a.wav", Audio.of([torch.full((400,), level)]))
        return Cell("ds2-an4", "none", "none", f"tsv:{home}")

    first, other, copied = corpus("first", 0.1), corpus("other", 0.2), corpus("copied", 0.1)
    assert first.key == other.key == copied.key
    store = Store(tmp_path / "run")
    store.begin([first], {"limit": 3})
    with pytest.raises(StoreError, match=r"same texts and other audio.*two folders"):
        store.begin([other], {})
    store.begin([copied], {"limit": 0})  # it moved: the same rows
    assert store.cells() == [copied]
    assert store.limits() == {copied: 0}
    for cell, fits in ((first, True), (other, False)):
        theirs = Store(tmp_path / f"run-{fits}")
        theirs.begin([cell], {})
        theirs.append(cell, [row(f"of {fits}")])
        if fits:
            assert merge(store.folder, theirs.folder) == 1
            continue
        with pytest.raises(StoreError, match="same texts and other audio"):
            merge(store.folder, theirs.folder)
    assert [one["n"] for one in store.summarise()] == [1]


@pytest.mark.parametrize(
    "wrong", [{"seed": "0; true #"}, {"data": "demo\n```"}, {"attack": "none\x1b"}]
)
def test_a_run_is_nobodys_command(tmp_path: Path, wrong: dict[str, str]) -> None:
    store = Store(tmp_path)
    store.begin([CELL], {})
    run = json.loads((tmp_path / "run.json").read_text())
    run["cells"][0] |= wrong
    (tmp_path / "run.json").write_text(json.dumps(run))
    with pytest.raises(StoreError, match=r"run.json: not a run"):
        store.keys()


def test_a_row_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.begin([CELL], {})
    store.append(CELL, [row("a"), row("b"), row("a")])
    assert [one["n"] for one in store.summarise()] == [2]
    assert [one["id"] for one in store.rows(CELL)] == [
        "a",
        "b",
    ]  # the standard's figures are of these


def test_run_json_lists_the_cells_of_every_call(tmp_path: Path) -> None:
    store = Store(tmp_path)
    other = Cell("ds2-an4", "rs", "none", "demo")
    store.begin([CELL], {"limit": 0})
    store.begin([CELL, other], {"limit": 4})
    store.begin([CELL], {"limit": 0})
    run = json.loads((tmp_path / "run.json").read_text())
    assert store.keys() == {CELL: CELL.key, other: other.key}
    assert run["versions"]["torch"]
    assert run["machine"]["threads"] >= 1
    assert run["asked"] == {"limit": 0}
    (earlier,) = run["earlier"]
    assert earlier["asked"] == {"limit": 4}
    assert earlier["revision"] == run["revision"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_keeps_what_was_written_and_says_what_to_do(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append(CELL, [row("a")])
    other = Cell("ds2-an4", "rs", "none", "demo")
    store.path(other).symlink_to("/dev/full")
    with pytest.raises(StoreError, match=r"No space left on device. Finished rows are kept"):
        store.append(other, [row("a")])
    assert [r["id"] for r in store.rows(CELL)] == ["a"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file; give the run a folder"):
        Store(tmp_path / "file").begin([CELL], {})


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"cells": [{"colour": 1}]}'])
def test_a_foreign_run_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(StoreError, match="not a run of this melmoat"):
        Store(tmp_path).begin([CELL], {})


def test_summary_rates_are_corpus_rates() -> None:
    rows = [row("a", 4, 4), row("b", 0, 8), row("c", 3, 8)]
    summary = summary_of(CELL, rows)
    assert summary["wer"] == pytest.approx(100 * 7 / 20)
    assert summary["wer_low"] <= summary["wer"] <= summary["wer_high"]
    assert summary["reached"] == pytest.approx(200 / 3)
    assert summary["benign_wer"] == 0
    assert summary["target_wer"] is None
    assert "silence" not in summary
    assert summary["n"] == 3


def test_a_target_of_silence_is_told_from_none() -> None:
    silent = {**row("a", 4, 4), "target": ""}
    silent["counts"] = {**silent["counts"], "target": {"words": (3, 0), "chars": (9, 0)}}
    summary = summary_of(CELL, [silent])
    assert (summary["target_wer"], summary["silence"]) == (None, True)


def test_figures_are_means_of_the_rows_that_have_them() -> None:
    old = row("a")  # written before there were such figures
    new = [row("b") | {"first": 3, "queries": 10, "audible": 0.5},
           row("c") | {"first": None, "queries": 20, "audible": 0.1}]  # fmt: skip
    summary = summary_of(CELL, [old, *new])
    assert (summary["first"], summary["queries"], summary["n"]) == (3, 15, 3)
    assert summary["audible"] == pytest.approx(30)
    summary = summary_of(CELL, [old])
    assert (summary["first"], summary["queries"], summary["audible"]) == (None, None, None)


def test_summary_of_nothing() -> None:
    summary = summary_of(CELL, [])
    assert (summary["n"], summary["wer"], summary["wer_low"]) == (0, None, None)

"""A run does not mix speech of before and after a change of its corpus."""

from pathlib import Path

import pytest

from melmoat.bench.cell import Cell, grid
from melmoat.bench.merging import merge
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store, StoreError
from melmoat.models import DeepSpeech2, checkpoints
from tests.data.speech import tone

NAMES = ("a", "b", "c")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    home = tmp_path / "corpus"
    for name in NAMES:
        tone(home / f"{name}.wav")
    table = "".join(f"{name}\tGO ON\t{name}.wav\n" for name in NAMES)
    (home / "transcripts.tsv").write_text("id\ttext\tpath\n" + table)
    return home


@pytest.fixture
def model(tmp_path: Path, tiny: DeepSpeech2) -> str:
    checkpoints.save(tmp_path / "tiny.safetensors", tiny, {})
    return f"deepspeech2:{tmp_path / 'tiny.safetensors'}"


def measured(out: Path, model: str, data: str, attack: str = "none", limit: int = 0) -> list[Cell]:
    runner, cells = Runner(Store(out), limit=limit), grid([model], ["none"], [attack], [data])
    runner.begin(cells)
    runner.run(cells, lambda cell, amount: None)
    return cells


@pytest.mark.parametrize("attack", ["none", "noise:db=20"])
def test_rows_of_old_and_new_audio_are_not_mixed(
    tmp_path: Path, corpus: Path, model: str, attack: str
) -> None:
    data, out = f"tsv:{corpus}", tmp_path / "run"
    measured(out, model, data)
    measured(out, model, data, "noise:db=10")  # nothing has changed
    tone(corpus / "b.wav", levels=(0.3,))
    before = (out / "run.json").read_text()
    with pytest.raises(StoreError, match=r"rows of 1 utterance.* such as b; .*--out"):
        measured(out, model, data, attack)
    assert (out / "run.json").read_text() == before
    other = tmp_path / "other"
    measured(other, model, data, "noise:db=20")
    with pytest.raises(StoreError, match=r"other audio or text of b of .*not merged"):
        merge(out, other)


def test_texts_that_no_key_knows_count_too(tmp_path: Path, model: str) -> None:
    home = tmp_path / "test-clean"  # of LibriSpeech a key has the folder's name
    for number in range(2):
        tone(home / "1" / "2" / f"1-2-000{number}.flac")
    texts = home / "1" / "2" / "1-2.trans.txt"
    texts.write_text("1-2-0000 GO ON\n1-2-0001 GO ON\n")
    measured(tmp_path / "run", model, f"librispeech:{home}")
    texts.write_text("1-2-0000 GO ON\n1-2-0001 ENTER SIX\n")
    with pytest.raises(StoreError, match="audio or text has changed since, such as 1-2-0001"):
        measured(tmp_path / "run", model, f"librispeech:{home}")


def test_a_list_with_other_texts_is_another_cell(tmp_path: Path, corpus: Path, model: str) -> None:
    (old,) = measured(tmp_path / "run", model, f"tsv:{corpus}")
    table = corpus / "transcripts.tsv"
    table.write_text(table.read_text().replace("a\tGO ON", "a\tENTER SIX"))
    (new,) = measured(tmp_path / "run", model, f"tsv:{corpus}")
    assert new.key != old.key
    assert {r["reference"] for r in Store(tmp_path / "run").rows(new)} == {"GO ON", "ENTER SIX"}


def test_a_broken_recording_may_be_mended(tmp_path: Path, corpus: Path, model: str) -> None:
    data, out = f"tsv:{corpus}", tmp_path / "run"
    (corpus / "a.wav").write_bytes(b"RIFF")
    (cell,) = measured(out, model, data)
    assert set(Store(out).failures(cell)) == {"a"}
    tone(corpus / "a.wav")
    (cell,) = measured(out, model, data)
    assert {row["id"] for row in Store(out).rows(cell)} == set(NAMES)


def test_rows_of_earlier_versions_have_no_digest_and_are_gone_on_with(
    tmp_path: Path, corpus: Path, model: str
) -> None:
    out = tmp_path / "run"
    (cell,) = measured(out, model, f"tsv:{corpus}", limit=2)
    rows = Store(out).rows(cell)
    assert all(len(row.pop("speech")) == 16 for row in rows)
    Store(out).path(cell).unlink()
    Store(out).append(cell, rows)
    measured(out, model, f"tsv:{corpus}")
    assert len(Store(out).rows(cell)) == 3

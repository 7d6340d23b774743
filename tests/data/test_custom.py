"""Corpora from outside, by ``python:MODULE:FACTORY``."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from melmoat import data
from melmoat.bench.cell import Cell
from melmoat.data import CORPORA
from melmoat.errors import MelmoatError
from tests.data.speech import tone

EXAMPLES = Path(__file__).parents[2] / "examples"
BODY = """
from lhotse import CutSet
from melmoat import data
def cuts(): return data.load("demo").subset(first=3)
def odd(): return [("a.wav", "A"), "b.wav"]
def none(): return 3
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(EXAMPLES)])
    monkeypatch.chdir(tmp_path)
    Path("mine_y.py").write_text(BODY)
    for name in ("two/anna_1", "two/ben_1", "seven/anna_2"):
        tone(tmp_path / "digits" / f"{name}.wav", 0.5)
    yield tmp_path
    for name in ("own_corpus", "mine_y"):
        sys.modules.pop(name, None)


def test_the_example_lists_files_and_texts() -> None:
    cuts = data.load("python:own_corpus:digits,home=digits")
    texts = {cut.id: cut.supervisions[0].text for cut in cuts}
    assert texts == {"anna_1": "TWO", "ben_1": "TWO", "anna_2": "SEVEN"}
    assert len(data.load("python:own_corpus:digits,home=digits,most=1")) == 2
    assert data.read(cuts).lengths.tolist() == [8_000] * 3


def test_cuts_of_lhotse_will_do() -> None:
    assert [cut.id for cut in data.load("python:mine_y:cuts")] == [
        cut.id for cut in data.load("demo")
    ][:3]


@pytest.mark.parametrize(("name", "message"), [("odd", "item 1 is a str"), ("none", "is a int")])
def test_anything_else_is_refused(name: str, message: str) -> None:
    with pytest.raises(MelmoatError, match=f"{message}; expected pairs of an audio file's path"):
        data.load(f"python:mine_y:{name}")


def test_options_count_in_the_key() -> None:
    specs = [f"python:own_corpus:digits,home=digits{more}" for more in ("", ",most=1")]
    cells = [Cell("ds2-an4", "none", "none", str(CORPORA.parse(spec))) for spec in specs]
    assert cells[0].key != cells[1].key

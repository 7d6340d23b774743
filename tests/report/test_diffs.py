"""Differences are those that are counted, and the text is the one that was heard."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from melmoat.bench.judge import _counts
from melmoat.metrics.errors import word_edits
from melmoat.normalisers import by_name
from melmoat.report.diffs import Piece, row_diff, text_diff
from melmoat.report.page import render
from tests.bench.hand_made import result
from tests.bench.writing import write_run

RESULTS = Path(__file__).parents[2] / "results"
SAID = "MISTER SMITH WILL NOT COME BACK TONIGHT"
HEARD = "Mr. Smith won't come back tonight."


def row(said: str, heard: str, normaliser: str | None) -> dict[str, Any]:
    rule = by_name(normaliser or "none")
    counts = _counts(rule(said), rule(heard))
    made: dict[str, Any] = {"reference": said, "adversarial": heard, "benign": heard}
    made["counts"] = {"adversarial": counts, "benign": counts, "target": None}
    return made if normaliser is None else made | {"normaliser": normaliser}


@pytest.mark.parametrize(
    ("said", "heard"),
    [("A B C", "A C"), ("A", "B C D"), ("", "X Y"), ("X Y", ""), ("", ""), ("A B", "A B")],
)
def test_a_diff_holds_every_word_and_the_fewest_edits(said: str, heard: str) -> None:
    pieces = text_diff(said, heard)
    assert " ".join(p.said for p in pieces if p.said) == said
    assert " ".join(p.heard for p in pieces if p.heard) == heard
    edits = sum(max(len(p.said.split()), len(p.heard.split())) for p in pieces if not p.same)
    assert edits == word_edits(said, heard)[0]


def test_a_correct_transcript_of_whisper_is_not_painted_as_wrong(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    made = result("none", "none", 0.0, n=1)
    made.rows["u000"].update(row(SAID, HEARD, "whisper-english"))
    assert made.rows["u000"]["counts"]["adversarial"]["words"][0] == 0
    write_run(tmp_path / "run", [made])
    page = render(tmp_path / "run")[0]
    table = page.split('id="rows"')[1].split("</table>")[0]
    assert "0 of 7" in table
    assert HEARD.replace("'", "&#39;") in table
    assert "<del>" not in table
    assert "<ins>" not in table


def test_words_that_a_normaliser_joins_stay_together() -> None:
    pytest.importorskip("transformers")
    whisper = by_name("whisper-english")
    said, heard = "HE'S PAID TWENTY ONE OF THEM", "Uh, he's paid 21 or them!"
    assert text_diff(said, heard, whisper) == (
        Piece("HE'S PAID TWENTY ONE", "Uh, he's paid 21", True),
        Piece("OF", "or", False),
        Piece("THEM", "them!", True),
    )


def test_characters_are_aligned_where_texts_have_no_words() -> None:
    pieces = text_diff("\u6253\u5f00 \u95e8\u5427", "\u6253\u5f00\u7a97 \u5427", unit="chars")
    assert [p.same for p in pieces] == [True, False, True]
    assert "".join(p.heard for p in pieces) == "\u6253\u5f00\u7a97 \u5427"


def test_an_unknown_normaliser_is_not_guessed() -> None:
    other = row("COLOUR OF IT", "color of that", "basic") | {"normaliser": "own"}
    assert row_diff(other, "adversarial", "words") is None
    other["counts"] = {"adversarial": _counts("a", "a")}
    assert row_diff(other, "adversarial", "words") == [
        Piece("COLOUR OF IT", "color of that", True)
    ], "without errors nothing needs to be known"


@pytest.mark.parametrize("name", ["an4", "whisper"])
def test_the_marks_of_committed_rows_are_the_errors_that_they_count(name: str) -> None:
    pytest.importorskip("transformers")
    seen = 0
    for path in sorted((RESULTS / name / "cells").glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines()[:2]:
            read = json.loads(line)
            pieces = row_diff(read, "adversarial", "words")
            assert pieces is not None, read["id"]
            heard = " ".join(p.heard for p in pieces if p.heard)
            assert heard == " ".join(read["adversarial"].split())
            wrong = read["counts"]["adversarial"]["words"][0] > 0
            assert wrong == (not all(p.same for p in pieces))
            seen += 1
    assert seen

import json

import pytest

from melmoat.models.words import pronunciations
from melmoat.models.words.pronunciations import english, kept, translated

LEXICON = {
    "up": [("AH", "P")],
    "mr": [("M", "ER")],
    "tap": [("T", "AE", "P")],
    "pat": [("P", "AE")],
}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "melmoat"


class Own:
    """Answers from a table and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, words):
        self.asked += 1
        return [{"up": ("ʌ", "p"), "tap": ("t", "ɒ", "p"), "pat": ("p", "t")}[w] for w in words]


def test_common_words_are_asked_for_and_odd_answers_are_not_taken():
    found = english(LEXICON, ["up", "mr", "tap", "pat"], Own(), "1")
    assert found["up"] == [("ʌ", "p")]  # and not both readings of AH
    assert found["mr"] == [("m", "ɝ")]  # an abbreviation is not asked for
    assert found["tap"] == [("t", "æ", "p")]  # no phoneme of English in the answer
    assert found["pat"] == [("p", "æ")]  # no vowel


def test_readings_are_bounded():
    assert len(translated(["AH"] * 20)) == pronunciations.MOST


def test_an_answer_is_kept_until_the_question_changes(cache):
    own = Own()
    first = kept(["up", "tap"], own, "1")
    assert kept(["up", "tap"], own, "1") == first == [("ʌ", "p"), ("t", "ɒ", "p")]
    assert own.asked == 1
    kept(["up", "tap"], own, "2")
    kept(["tap", "up"], own, "1")
    assert own.asked == 3
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", ["torn", "altered", "empty", "foreign"])
def test_a_damaged_file_is_asked_anew(cache, damage):
    own = Own()
    first = kept(["up"], own, "1")
    (path,) = cache.iterdir()
    text = path.read_text("utf-8")
    path.write_text(
        {
            "torn": text[: len(text) // 2],
            "altered": text.replace("p", "b"),
            "empty": "",
            "foreign": json.dumps([1, 2]),
        }[damage],
        "utf-8",
    )
    assert kept(["up"], own, "1") == first
    assert own.asked == 2
    assert kept(["up"], own, "1") == first
    assert own.asked == 2


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kept(["up"], Own(), "1") == [("ʌ", "p")]

"""Right to the letter is no error in any language, and other words are errors."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melmoat.errors import MelmoatError
from melmoat.metrics.errors import char_edits, word_edits
from melmoat.models.whisper.text import normaliser, normaliser_name
from melmoat.normalisers import RULES, Normaliser, basic, by_name, of, plain
from melmoat.text import capitals
from tests.languages import APART, SAID

WHISPER = {"english": "en", "hindi": "hi", "turkish": "tr"}
TEXT = st.text(st.characters(categories=["L", "M", "N", "Zs"]), max_size=12)


@pytest.mark.parametrize("name", sorted(RULES))
@pytest.mark.parametrize("language", SAID)
def test_a_text_is_itself_however_unicode_writes_it(name: str, language: str) -> None:
    same, said = by_name(name), SAID[language]
    assert same(said)
    if name == "none":
        return
    for form in ("NFC", "NFD"):
        other = unicodedata.normalize(form, said)
        assert char_edits(same(said), same(other))[0] == 0
        assert same(same(other)) == same(said)
    assert len(same(said).split()) <= len(said.replace("-", " ").replace("'", " ").split())


@pytest.mark.parametrize("language", APART)
def test_two_words_are_two(language: str) -> None:
    one, two = APART[language]
    turkic = language == "turkish"
    for name in ("plain", "turkish" if turkic else "basic", "none"):
        assert word_edits(by_name(name)(one), by_name(name)(two)) == (1, 1)
    own = normaliser(False, {}, "tr" if turkic else None)
    assert word_edits(own(one), own(two)) == (1, 1)


@pytest.mark.parametrize("language", sorted(SAID))
def test_case_and_punctuation_are_no_errors_of_capitals(language: str) -> None:
    plain = by_name("plain")
    assert plain(capitals(SAID[language])) == plain(SAID[language])


@given(TEXT)
def test_capitals_lose_nothing_that_plain_keeps(text: str) -> None:
    plain = by_name("plain")
    assert plain(capitals(text)) == plain(unicodedata.normalize("NFC", text))


@given(TEXT)
def test_normalising_twice_changes_nothing(text: str) -> None:
    for name in ("plain", "basic"):
        once = by_name(name)(text)
        assert by_name(name)(once) == once


def test_the_i_of_turkish() -> None:
    same = by_name("turkish")
    assert same("ISPARTA \u0130L\u0130") == same("\u0131sparta ili") != same("isparta ili")
    assert by_name("basic")("\u0130stanbul") == "istanbul"


def test_points_are_a_choice() -> None:
    for language in ("arabic", "hebrew"):
        bare, pointed = SAID[language], SAID[f"{language}, pointed"]
        assert word_edits(by_name("basic")(bare), by_name("basic")(pointed)) == (
            2,
            2,
        )
        assert by_name("unpointed")(bare) == by_name("unpointed")(pointed)


def test_spaces_are_no_errors_where_a_script_has_none() -> None:
    one, two = "\u6253\u5f00\u95e8\uff0c\u8c22\u8c22", "\u6253\u5f00 \u95e8 \u8c22\u8c22\u3002"
    assert by_name("basic")(one) == by_name("basic")(two) == "\u6253\u5f00\u95e8\u8c22\u8c22"


def test_the_default_of_whisper_is_by_language() -> None:
    assert normaliser_name(True, {}, "en") == "whisper-english"
    assert normaliser_name(False, {}, "hi") == normaliser_name(False, {}) == "basic"
    assert normaliser_name(False, {}, "tr") == "turkish"
    assert normaliser_name(False, {}, "hi", "whisper") == "whisper-basic"
    assert normaliser_name(True, {}, "en", "whisper") == "whisper-english"
    assert normaliser_name(True, {}, "en", "none") == "none"


def test_basic_is_whispers_where_no_mark_stands_alone() -> None:
    pytest.importorskip("transformers", reason="needs the extra hf")
    published = by_name("whisper-basic")
    for language in ("english", "german", "russian", "vietnamese", "arabic", "hebrew", "korean"):
        assert by_name("basic")(SAID[language]) == published(SAID[language])
    assert len(published(SAID["hindi"]).split()) > len(SAID["hindi"].split())


def test_what_a_recognizer_may_give() -> None:
    assert of("basic").name == "basic"
    assert of(str.lower)("A  B") == "a b"
    assert of(Normaliser("x", str)).name == "x"
    with pytest.raises(MelmoatError, match=r"unknown normaliser 'basics'; known: basic, none"):
        of("basics")
    with pytest.raises(MelmoatError, match="a name or a function of a text, got a int"):
        of(3)


def test_words_that_only_a_mark_parts() -> None:
    assert plain("one,two wait\u2026now a\u2212b wait...now") == "one two wait now a b wait now"
    assert plain("\u05d1\u05d9\u05ea\u05be\u05e1\u05e4\u05e8").count(" ") == 1
    assert plain("1,000 U.S.A.") == "1000 usa"
    for text, other in (("3.5", "35"), ("1:05", "105"), ("1\u00bd", "112")):
        assert plain(text) != plain(other)
    for rule in (plain, basic):
        assert len({rule(f"\u043f{mark}\u044f\u0442\u044c") for mark in "'\u2019\u02bc"}) == 1

import os
import re
import unicodedata
from pathlib import Path

import pytest

from melmoat import data
from melmoat.text import (
    LABELS,
    TextError,
    canonical,
    encode,
    listed,
    normalise,
    single,
    spell,
)
from tests.languages import APART, SAID


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("hello,  World!", "HELLO WORLD"),
        ("well-known", "WELL KNOWN"),
        ("don\u2019t", "DON'T"),
        ("rock`n\u00b4roll \u2018so don\u2018t", "ROCK'N'ROLL SO DON'T"),
        ("\u00c5ngstr\u00f6m", "ANGSTROM"),
        ("", ""),
        ("  ", ""),
        ("room 12", "ROOM 12"),
        ("3.5, or 35.", "3 5 OR 35"),
        ("\u00bd of 12", "1 2 OF 12"),
        ("caf\u00e9,bar", "CAFE BAR"),
        ("fiance\u0301\u00b4s", "FIANCE'S"),
        ("what?!no", "WHAT NO"),
        ("room 5,then 10,000;go,6, the 3:e", "ROOM 5 THEN 10000 GO 6 THE 3E"),
        ("\u0939\u0948,\u0914\u0930", "\u0939\u0948 \u0914\u0930"),  # behind a vowel sign
        ("\u0939\u0948\u0964\u0914\u0930", "\u0939\u0948 \u0914\u0930"),
        ("\u0646\u0639\u0645\u060c\u0644\u0627", "\u0646\u0639\u0645 \u0644\u0627"),
        ("\u1230\u120b\u121d\u1362\u1290\u12cd", "\u1230\u120b\u121d \u1290\u12cd"),
    ],
)
def test_normalise(raw: str, clean: str) -> None:
    assert normalise(raw) == clean
    assert normalise(clean) == clean


@pytest.mark.parametrize(
    ("raw", "labels", "spelled"),
    [
        ("It\u2019s  a caf\u00e9, well-known!", LABELS, "IT'S A CAFE WELL KNOWN"),
        ("\u00dcber die Stra\u00dfe", "_BDEIRSTA\u00df\u00dc ", "\u00dcBER DIE STRA\u00dfE"),
        ("\u00dcber die Stra\u00dfe", LABELS, "UBER DIE STRASSE"),
        ("e\u0301t\u00e9", "_t\u00e9", "\u00e9t\u00e9"),  # a letter and its accent apart
        ("It's", "_ITS", "ITS"),
        ("l\u2019eau", "_LEAU\u2019", "L\u2019EAU"),
        ("l'eau", "_LEAU\u2019", "L\u2019EAU"),
        ("l`eau", "_LEAU\u2019", "L\u2019EAU"),
        ("l\u2018eau", "_LEAU\u2018", "L\u2018EAU"),
        ("don\u00b4t", LABELS, "DON'T"),
        ("room 12", LABELS, "ROOM 12"),
        ("mother-in-law", "_-MOTHERINLAW", "MOTHER-IN-LAW"),
        ("3.5, or 35.", LABELS, "3 5 OR 35"),
        ("one,two...three/four", LABELS, "ONE TWO THREE FOUR"),
        ("one,two", "_,ONETW ", "ONE,TWO"),
        ("\u4f60\u597d", "_\u4f60", "\u4f60\u597d"),
        ("  ", LABELS, ""),
    ],
)
def test_a_text_in_the_letters_of_some_labels(raw: str, labels: str, spelled: str) -> None:
    assert spell(raw, labels) == spelled
    assert spell(spelled, labels) == spelled


def test_texts_of_capitals_are_spelled_as_they_are_normalised() -> None:
    for cut in data.load("demo"):
        text = cut.supervisions[0].text
        assert spell(data.written(cut), LABELS) == normalise(data.written(cut)) == text


def test_encode_is_the_published_order() -> None:
    assert LABELS[0] == "_"
    assert encode("'AZ ").tolist() == [1, 2, 27, 28]
    assert encode("").tolist() == []


@pytest.mark.parametrize("text", ["ROOM 12", "a", "_"])
def test_what_cannot_be_written_is_refused(text: str) -> None:
    with pytest.raises(TextError, match="cannot write"):
        encode(text)


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("\u0926\u093f\u0928", "\u0926\u093f\u0928"),
        ("\u0e40\u0e1b\u0e34\u0e14!", "\u0e40\u0e1b\u0e34\u0e14"),
        ("\u30c9\u30a2", "\u30c9\u30a2"),
        ("\ubb38\uc744", "\ubb38\uc744"),
        ("\u0439\u043e\u0434", "\u0419\u041e\u0414"),
        ("na\u00efve \u2764\ufe0f", "NAIVE"),
    ],
)
def test_only_latin_letters_lose_their_accents(raw: str, clean: str) -> None:
    for form in ("NFC", "NFD"):
        assert normalise(unicodedata.normalize(form, raw)) == clean


@pytest.mark.parametrize(
    ("raw", "labels", "spelled"),
    [
        # Turkish: dotless and dotted, small labels and capital ones
        ("ISPARTA \u0130L", "_ abc\u011f\u0131ilmnoprst", "\u0131sparta il"),
        ("\u0131sparta il", "_ ABC\u011eI\u0130LMNOPRST", "ISPARTA \u0130L"),
        ("I AM IN", "_ abcimn\u0131\u00df\u011f", "i am in"),  # of many languages
        ("\u039f\u0394\u039f\u03a3 \u039c\u039f\u03a5", "_ \u03bf\u03b4\u03c3\u03c2\u03bc\u03c5",
         "\u03bf\u03b4\u03bf\u03c2 \u03bc\u03bf\u03c5"),
        ("\u03bf\u03b4\u03cc\u03c2", "_\u039f\u0394\u03a3", "\u039f\u0394\u039f\u03a3"),
        # a letter that Unicode never composes, as one label and as two
        ("\u0921\u093c", "_\u095c\u0921", "\u095c"),
        ("\u095c", "_\u0921\u093c", "\u0921\u093c"),
        # labels of letters and marks apart
        ("\u00f6ffne", "_efno\u0308", "o\u0308ffne"),
        ("\u1ec7", "_\u00ea\u0323", "\u00ea\u0323"),
        ("\ubb38", "_\u1106\u116e\u11ab", "\u1106\u116e\u11ab"),
        ("\u1106\u116e\u11ab", "_\ubb38", "\ubb38"),
        # vowel signs and voiced kana that the labels lack stay, to be named
        ("\u0926\u093f\u0928", "_\u0926\u0928", "\u0926\u093f\u0928"),
        ("\u304c", "_\u304b", "\u304c"),
        # the points of Arabic are left out where the labels have none
        ("\u0645\u064e\u0631\u0652\u062d", "_\u0645\u0631\u062d", "\u0645\u0631\u062d"),
        ("\u0645\u06cc\u200c\u062e", "_\u0645\u06cc\u062e", "\u0645\u06cc\u062e"),
    ],
)  # fmt: skip
def test_other_scripts_in_the_letters_of_some_labels(raw: str, labels: str, spelled: str) -> None:
    assert spell(raw, labels) == spelled
    assert spell(spelled, labels) == spelled


@pytest.mark.parametrize("language", SAID)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_what_labels_were_collected_from_they_write(language: str, form: str) -> None:
    said = unicodedata.normalize(form, SAID[language])
    labels = "_" + "".join(sorted({*said, " "}))
    for other in ("NFC", "NFD"):
        spelled = spell(unicodedata.normalize(other, SAID[language]), labels)
        assert canonical(spelled) == canonical(said)
        encode(spelled, labels)


@pytest.mark.parametrize(("one", "two"), APART.values(), ids=APART)
def test_two_words_are_not_the_same_text_in_labels(one: str, two: str) -> None:
    labels = "_" + "".join(sorted({*one, *two}))
    assert canonical(spell(one, labels)) != canonical(spell(two, labels))


def test_a_single_text_is_no_list() -> None:
    assert listed(["STOP"]) == ["STOP"]
    with pytest.raises(TextError, match=r"got the single text 'STOP'; write \['STOP'\]"):
        listed("STOP")


def _as_before(text: str) -> str:
    """What the corpora's texts were normalised by when their results were measured."""
    text = unicodedata.normalize("NFKD", text).replace("\u2019", "'").upper()
    text = re.sub(r"[-\u2010-\u2015/_]", " ", text)
    return " ".join("".join(c for c in text if c.isalnum() or c in "' ").split())


def test_english_corpora_have_the_texts_that_they_had() -> None:
    texts = [data.written(cut) for cut in data.load("demo")]
    shared = Path(os.environ.get("MELMOAT_SHARED", "/nowhere")) / "data"
    for pattern in ("**/transcripts.tsv", "**/*.trans.txt", "**/*.transcription"):
        for table in shared.glob(pattern):
            texts += re.split(r"[\t\n]", table.read_text(encoding="utf-8"))
    assert texts
    assert [normalise(text) for text in texts] == [_as_before(text) for text in texts]


@pytest.mark.parametrize("token", ["\u095c", "\u0921\u093c", "\u0626", "\u064a\u0654", "\ufb2a"])
def test_a_token_is_one_letter_where_unicode_has_one(token: str) -> None:
    assert len(single(token)) == 1
    assert unicodedata.normalize("NFD", single(token)) == unicodedata.normalize("NFD", token)


def test_word_pieces_are_no_letters() -> None:
    assert single("th") == "th"
    assert len(single("\u0915\u093f")) == 2

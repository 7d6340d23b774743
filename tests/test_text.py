import pytest

from melmoat import data
from melmoat.text import LABELS, TextError, encode, normalise, spell


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("hello,  World!", "HELLO WORLD"),
        ("well-known", "WELL KNOWN"),
        ("don\u2019t", "DON'T"),
        ("\u00c5ngstr\u00f6m", "ANGSTROM"),
        ("", ""),
        ("  ", ""),
        ("room 12", "ROOM 12"),
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
        ("room 12", LABELS, "ROOM 12"),
        ("mother-in-law", "_-MOTHERINLAW", "MOTHER-IN-LAW"),
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

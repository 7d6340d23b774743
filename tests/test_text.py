import pytest

from melmoat.text import LABELS, TextError, encode, normalise


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


def test_encode_is_the_published_order() -> None:
    assert LABELS[0] == "_"
    assert encode("'AZ ").tolist() == [1, 2, 27, 28]
    assert encode("").tolist() == []


@pytest.mark.parametrize("text", ["ROOM 12", "a", "_"])
def test_what_cannot_be_written_is_refused(text: str) -> None:
    with pytest.raises(TextError, match="cannot write"):
        encode(text)

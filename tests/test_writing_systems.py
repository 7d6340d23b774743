import pytest

from melmoat.writing_systems import letters, tight, unspaced
from tests.languages import SAID, UNSPACED


@pytest.mark.parametrize("language", SAID)
def test_scripts_without_spaces(language: str) -> None:
    assert unspaced(SAID[language]) == (language in UNSPACED)


def test_most_letters_decide() -> None:
    assert unspaced("\u6253\u5f00 GPU \u7684\u95e8")
    assert not unspaced("\u6253\u5f00 the door")
    assert not unspaced("\u6253", "open the door")
    assert not unspaced("\u6253a")  # half are not most
    assert letters("\u6253\u5f00 a1!") == (2, 3)


def test_only_spaces_beside_such_letters_go() -> None:
    assert tight("\u6253\u5f00 GPU now \u7684\u95e8\u7684\u95e8\u7684") == (
        "\u6253\u5f00GPU now\u7684\u95e8\u7684\u95e8\u7684"
    )
    assert tight("open the \u95e8") == "open the \u95e8"

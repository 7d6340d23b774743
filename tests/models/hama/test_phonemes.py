"""Words have the phonemes that hama's own engine gives them."""

import pytest
import torch

from melmoat import data
from melmoat.models.hama.files import package
from melmoat.models.hama.load import phonemes
from melmoat.models.hama.phonemes import Phonemes
from melmoat.text import TextError

hama = pytest.importorskip("hama", reason="needs the extra hama")
ODD = ["a", "xyzzy", "o'clock", "don't", "mackonnell", "antidisestablishmentarianism", "admirable"]


@pytest.fixture(scope="module")
def spoken() -> Phonemes:
    return phonemes(package())


def symbols(spoken: Phonemes, word: str) -> list[str]:
    return [spoken.symbols[i] for i in spoken.pronounced([word])[0]]


def test_words_are_pronounced_as_by_the_package(spoken: Phonemes) -> None:
    theirs = hama.G2PModel()
    texts = [cut.supervisions[0].text.lower() for cut in list(data.load("demo"))[:6]]
    words = sorted({*" ".join(texts).split(), *ODD})
    spoken.pronounced(words)  # in one batch
    for word in words:
        expected = [one.phoneme for one in theirs(word).alignments]
        assert symbols(spoken, word) == [s for s in expected if s != " "], word


def test_a_word_alone_is_the_same(spoken: Phonemes) -> None:
    together = spoken.pronounced(ODD)
    for word, expected in zip(ODD, together, strict=True):
        assert phonemes(package()).pronounced([word]) == [expected]


def test_texts_have_a_boundary_between_words(spoken: Phonemes) -> None:
    one, none = spoken.of_words(["Go, on!", "."])
    written = [spoken.symbols[i] for i in one]
    assert written == [*symbols(spoken, "go"), "|", *symbols(spoken, "on")]
    assert none.shape == (0,)
    assert torch.equal(spoken.of_words(["CAFÉ-BAR"])[0], spoken.of_words(["'cafe' bar"])[0])


def test_a_text_in_phonemes_is_taken_as_it_is(spoken: Phonemes) -> None:
    for text in ["HE HAD", "IT'S A CHURCH", ""]:
        (english,) = spoken.of_words([text])
        written = spoken.written(english.tolist())
        assert torch.equal(spoken.of_phonemes([written])[0], english)
        assert spoken.compared(text) == spoken.compared(written) == written.replace(" | ", " ")
    assert spoken.written(spoken.of_words(["HE HAD"])[0].tolist()) == "h i | h æ d"


def test_symbols_begin_with_the_blank(spoken: Phonemes) -> None:
    assert spoken.symbols[0] == "_"
    assert spoken.symbols[-1] == "|"
    assert len(spoken.symbols) == len(set(spoken.symbols)) == 191
    assert not any(" " in symbol for symbol in spoken.symbols)


@pytest.mark.parametrize("text", ["ROOM 42", "ПРИВЕТ", "BLÅBÆR"])
def test_what_is_not_spelled_in_english_letters_is_refused(spoken: Phonemes, text: str) -> None:
    with pytest.raises(TextError, match="letters A to Z"):
        spoken.of_words(["GO", text])


def test_a_single_text_is_no_list(spoken: Phonemes) -> None:
    with pytest.raises(TextError, match="list of one text per utterance"):
        spoken.of_words("GO")

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
    return [spoken.labels[i] for i in spoken.pronounced([word])[0]]


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
    one, none = spoken.targets(["Go, on!", "."])
    written = [spoken.labels[i] for i in one]
    assert written == [*symbols(spoken, "go"), "<wb>", *symbols(spoken, "on")]
    assert none.shape == (0,)
    assert spoken.written(one.tolist()) == "goʊ ɔn"
    assert torch.equal(spoken.targets(["CAFÉ-BAR"])[0], spoken.targets(["'cafe' bar"])[0])


def test_labels_begin_with_the_blank(spoken: Phonemes) -> None:
    assert spoken.labels[0] == "<blank>"
    assert spoken.labels[-1] == "<wb>"
    assert len(spoken.labels) == len(set(spoken.labels)) == 191


@pytest.mark.parametrize("text", ["ROOM 42", "ПРИВЕТ", "BLÅBÆR"])
def test_what_is_not_spelled_in_english_letters_is_refused(spoken: Phonemes, text: str) -> None:
    with pytest.raises(TextError, match="letters A to Z"):
        spoken.targets(["GO", text])


def test_a_single_text_is_no_list(spoken: Phonemes) -> None:
    with pytest.raises(TextError, match="list of one text an utterance"):
        spoken.targets("GO")

import copy

import pytest
import torch

from melmoat.errors import MelmoatError
from melmoat.models import load
from melmoat.models.words import english
from melmoat.models.words.lm import END, START, trigrams
from melmoat.models.words.pronunciations import ENGLISH, translated
from melmoat.text import LABELS

pytest.importorskip("pocketsphinx", reason="needs the extra words")

SYMBOLS = ("_", *sorted(ENGLISH), "|")
SENTENCES = ["I WENT TO THE DOOR", "THEIR HOUSE IS OVER THERE", "ONE OF THE TWO WAS RIGHT", ""]


def spoken(indices: list[int], size: int) -> torch.Tensor:
    """Log probabilities of a recognizer that is nearly sure: two frames a symbol and a blank."""
    frames = [i for index in indices for i in (index, index, 0)]
    odds = torch.full((len(frames), size), 0.1 / size)
    odds[range(len(frames)), frames] += 0.9
    return odds.log()


def batch(rows: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    frames = torch.tensor([len(row) for row in rows])
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=-1.0)
    return padded, frames


@pytest.fixture(scope="module")
def phonemes(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield english.phonemes(SYMBOLS, "|", lambda words: [()] * len(words), "none")
    patch.undo()


def pronounced(sentence: str) -> list[int]:
    found: list[int] = []
    for word in sentence.lower().split():
        (reading, *_) = translated(trigrams().pronunciations[word][0])
        found += [*map(SYMBOLS.index, reading), SYMBOLS.index("|")]
    return found[:-1]


def test_the_language_model_tells_homophones_apart(phonemes):
    rows = [spoken(pronounced(sentence), len(SYMBOLS)) for sentence in SENTENCES]
    assert phonemes(*batch(rows), SYMBOLS) == SENTENCES


def test_letters_are_words():
    rows = [spoken([LABELS.index(c) for c in text], len(LABELS)) for text in SENTENCES]
    assert english.letters(LABELS)(*batch(rows), LABELS) == SENTENCES


def test_a_misspelled_word_is_mended():
    rows = spoken([LABELS.index(c) for c in "THE HOUZE IS RED"], len(LABELS))
    texts = english.letters(LABELS)(rows[None], torch.tensor([len(rows)]), LABELS)
    assert texts == ["THE HOUSE IS RED"]


def test_an_utterance_is_decoded_alone(phonemes):
    rows = [spoken(pronounced(sentence), len(SYMBOLS)) for sentence in SENTENCES]
    together = phonemes(*batch(rows), SYMBOLS)
    alone = [phonemes(row[None], torch.tensor([len(row)]), SYMBOLS)[0] for row in rows]
    assert together == alone


def test_a_copy_shares_the_lexicon(phonemes):
    assert copy.deepcopy(phonemes) is phonemes
    assert copy.deepcopy(trigrams()) is trigrams()


def test_labels_of_another_recognizer_are_refused(phonemes):
    with pytest.raises(MelmoatError, match="other labels"):
        phonemes(torch.zeros(1, 0, 29), torch.tensor([0]), LABELS)
    with pytest.raises(MelmoatError, match="lack"):
        english.letters("_AB ")
    with pytest.raises(MelmoatError, match="lack"):
        english.phonemes(SYMBOLS[:-3], "|", lambda words: [], "none")


def test_trigrams_are_probabilities():
    lm = trigrams()
    words = {word: lm.words.index(word) for word in ("of", "the", "day")}
    assert lm.words[0] == "the"
    assert lm.log_prob(words["the"], (words["of"],)) > lm.log_prob(words["of"], (words["the"],))
    assert lm.log_prob(words["the"], (START,)) > lm.log_prob(END, (START,))
    for before in ((words["of"], words["the"]), (START, words["the"])):
        follows = [lm.log_prob(word, before) for word in (*range(len(lm.words)), END)]
        total = torch.tensor(follows, dtype=torch.double).exp().sum()
        assert 0.9 < total < 1.001


def test_the_spec_writes_words_and_refuses_two_searches():
    assert load("ds2-an4:decoder=lexicon").decoder is english.letters(LABELS)
    with pytest.raises(MelmoatError, match="decoder=lexicon"):
        load("ds2-an4:decoder=lexicon,beam=4")

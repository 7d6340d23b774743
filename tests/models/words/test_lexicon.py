import numpy as np
import pytest

from melmoat.models.words.lexicon import ROOT, tree

SPELLINGS = {0: [(1,)], 1: [(1, 2)], 2: [(2,), (3, 3)], 3: [(1,)], 4: [(1, 2, 1)]}
SCORES = np.array([-1.0, -2.0, -3.0, -4.0, -0.5])


def walked(found, spelling):
    node = np.array([ROOT])
    for symbol in spelling:
        node = found.step(node, np.array([symbol]))[:, 0]
    return int(node[0])


def test_every_spelling_leads_to_its_word_and_to_no_other():
    found = tree(SPELLINGS, SCORES)
    for spelling, words in {
        (1,): [0, 3],
        (1, 2): [1],
        (2,): [2],
        (3, 3): [2],
        (1, 2, 1): [4],
    }.items():
        node = walked(found, spelling)
        assert found.words[found.ends[node] : found.ends[node + 1]].tolist() == words
        assert found.symbols[node] == spelling[-1]
    assert found.ends[1] == 0  # no word ends at the root
    assert len(found.symbols) == 1 + len({(1,), (1, 2), (1, 2, 1), (2,), (3,), (3, 3)})


def test_there_is_no_step_off_the_lexicon():
    found = tree(SPELLINGS, SCORES)
    one = walked(found, (1,))
    assert found.step(np.array([ROOT, one]), np.array([0, 1, 2, 3, 9])).tolist()[1][1] == -1
    assert (found.step(np.array([ROOT]), np.array([0, 3, 1])) >= 0).tolist() == [
        [False, True, True]
    ]


def test_a_node_knows_the_best_word_below_it():
    found = tree(SPELLINGS, SCORES)
    assert found.ahead[ROOT] == 0
    assert found.ahead[walked(found, (1,))] == -0.5
    assert found.ahead[walked(found, (3,))] == -3.0


def test_bytes_are_as_good_as_tuples():
    same = {word: [bytes(one) for one in several] for word, several in SPELLINGS.items()}
    one, other = tree(SPELLINGS, SCORES), tree(same, SCORES)
    for name in ("symbols", "edges", "children", "ends", "words", "ahead"):
        assert (getattr(one, name) == getattr(other, name)).all()


@pytest.mark.parametrize("wrong", [{}, {0: [()]}])
def test_a_lexicon_without_words_or_symbols_is_refused(wrong):
    with pytest.raises(ValueError, match="needs words"):
        tree(wrong, SCORES)

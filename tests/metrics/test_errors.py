import pytest

from melmoat.metrics.errors import char_edits, word_edits


@pytest.mark.parametrize(
    ("reference", "hypothesis", "edits", "words"),
    [
        ("A B C", "A B C", 0, 3),
        ("A B C", "", 3, 3),
        ("", "", 0, 0),
        ("", "A B", 2, 0),
        ("A B C", "A C", 1, 3),
        ("A B C", "A X C D", 2, 3),
        ("A B", "B A", 2, 2),
        ("ONE ONE ONE", "ONE", 2, 3),
    ],
)
def test_word_edits(reference: str, hypothesis: str, edits: int, words: int) -> None:
    assert word_edits(reference, hypothesis) == (edits, words)


def test_char_edits_count_spaces() -> None:
    assert char_edits("A B", "AB") == (1, 3)


def test_counts_add_up_over_shards() -> None:
    pairs = [("A B C", "A C"), ("GO", "GO ON"), ("X Y", "")]
    counts = [word_edits(*pair) for pair in pairs]
    assert sum(e for e, _ in counts) == 4
    assert sum(w for _, w in counts) == 6


def test_many_different_words_do_not_collide() -> None:
    words = [f"W{i}" for i in range(3_000)]
    assert word_edits(" ".join(words), " ".join(reversed(words)))[1] == 3_000
    assert word_edits(" ".join(words), " ".join(words[1:]))[0] == 1

import pytest
from hypothesis import given
from hypothesis import strategies as st

from melmoat.models.rover import vote


@pytest.mark.parametrize(
    ("hypotheses", "text"),
    [
        (["A B C"], "A B C"),
        (["A B C", "A X C", "A B C"], "A B C"),  # a substitution is outvoted
        (["A X C", "A B C", "A B C"], "A B C"),  # in the first one too
        (["A C", "A B C", "A B C"], "A B C"),  # a deletion
        (["A B B C", "A B C", "A B C"], "A B C"),  # an insertion
        (["A B C", "X A B C", "A B C X"], "A B C"),  # at either end
        (["", "A B", "A B"], "A B"),
        (["A B", "", ""], ""),
        (["", ""], ""),
        (["A X C", "A B Y", "Z B C"], "A B C"),  # a text that no single pass has
        (["A B", "X Y"], "A B"),  # a tie goes to the earliest
        (["X Y", "A B"], "X Y"),
        (["A B", "A B C", "A B D", "A B C"], "A B C"),  # C outvotes D and silence
        (["B", "A B", "A B C", "A B C"], "A B"),  # slots that the first one lacks
        (["ONE TWO THREE FOUR", "TWO THREE FOUR", "ONE TWO FOUR"], "ONE TWO THREE FOUR"),
        (["Yes, sir.", "yes sir", "Bus stir", "bus stir"], "Yes, sir."),  # one word, two spellings
        (["sir", "Sir!", "stir", "stir", "SIR"], "sir"),  # written as first heard
        (["A - B", "A - B", "A B"], "A - B"),
        (["SEND IT NOW", "NOW SEND IT", "SEND IT"], "SEND IT"),  # words are aligned in order
        (  # one word each, as far as spaces tell; the majority is of characters
            ["\u6253\u5f00\u4eec", "\u5927\u5f00\u95e8", "\u6253\u5173\u95e8"],
            "\u6253\u5f00\u95e8",
        ),
        (["\u6253\u5f00 A", "\u6253\u5f00 A", "\u6253"], "\u6253\u5f00 A"),
    ],
)
def test_the_majority_word_by_word(hypotheses: list[str], text: str) -> None:
    assert vote(hypotheses) == text


texts = st.lists(st.sampled_from("AB"), max_size=5).map(" ".join)


@given(texts, st.integers(1, 4))
def test_one_voice_is_heard(text: str, votes: int) -> None:
    assert vote([text] * votes) == text


@given(texts, texts)
def test_of_two_the_first_is_heard(first: str, second: str) -> None:
    assert vote([first, second]) == first


@given(texts, texts)
def test_two_equal_ones_outvote_a_third(agreed: str, other: str) -> None:
    assert vote([agreed, agreed, other]) == agreed


@given(st.lists(texts, min_size=1, max_size=5))
def test_every_word_was_heard_by_someone(hypotheses: list[str]) -> None:
    assert set(vote(hypotheses).split()) <= set(" ".join(hypotheses).split())


def test_nobody_cannot_vote() -> None:
    with pytest.raises(ValueError, match="at least one hypothesis"):
        vote([])

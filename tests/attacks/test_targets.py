import pytest

from melmoat import attacks
from melmoat.attacks.base import AttackError, Targeted, Untargeted, matched

CORPUS = ["GO ON", "NO WAY", "STOP IT", "YES", "GO ON", "ENTER SIX TWO NINE", ""]


def test_a_matched_target_is_another_text_of_about_the_length() -> None:
    assert matched("GO ON", CORPUS) == "NO WAY"  # the nearest
    assert matched("RUBOUT", ["HELP ME", "HELP", "STOP IT"]) in ("HELP ME", "STOP IT")
    text = "A B C D E F G H I J"
    near = ["ENTER SIX TWO NINE", "ERASE O N E T W O A"]
    assert {matched(text, [*near, text, "YES"], seed) for seed in range(20)} == set(near)


def test_it_depends_on_the_text_the_seed_and_the_set_of_texts_alone() -> None:
    goal = attacks.build("pgd:db=20,target=matched")
    truth = ["GO ON", "YES", "ENTER SIX TWO NINE"]
    whole = goal.goal(["?"] * 3, truth, lambda: CORPUS, 5)
    assert isinstance(whole, Targeted)
    for i, text in enumerate(truth):
        assert goal.goal(["!"], [text], lambda: CORPUS[::-1], 5) == whole.pick([i])
    assert not any(a == b for a, b in zip(whole.targets, truth, strict=True))


def test_only_a_matched_target_lists_the_corpus() -> None:
    def corpus() -> list[str]:
        raise AssertionError("the corpus was listed")

    fixed = attacks.build("cw:target=stop it").goal(["A"], ["B"], corpus)
    assert fixed == Targeted(["STOP IT"])
    assert attacks.build("pgd:db=20").goal(["A"], ["B"], corpus) == Untargeted(["A"])


@pytest.mark.parametrize("corpus", [[], ["GO ON", "GO  ON"]])
def test_without_another_text_it_says_what_to_do(corpus: list[str]) -> None:
    with pytest.raises(AttackError, match="or say the target: target=TEXT"):
        attacks.build("pgd:db=20,target=matched").goal(["GO ON"], ["GO ON"], lambda: corpus)


def test_further_targets_are_other_texts_and_one_is_shorter() -> None:
    text = "A B C D E"
    corpus = ["F G H I J", "K L M N O", "P Q R S T", "A B", "GO", text]
    goal = attacks.build("pgd:db=20,target=matched-2").goal([""], [text], lambda: corpus)
    assert isinstance(goal, Targeted)
    found = [matched(text, corpus, place=place) for place in range(4)]
    assert set(found[:3]) == set(corpus[:3])
    assert found[3] == "A B"  # the nearest of the others
    assert goal.targets == [found[1]]
    assert matched(text, corpus, place=5) == found[0]  # counted again
    assert matched(text, corpus, share=0.5) == "A B"


def test_silence_is_a_target() -> None:
    goal = attacks.build("pgd:db=20,target=").goal(["GO ON"], ["GO ON"])
    assert goal == Targeted([""])
    assert goal.reached(["", "A"][:1]) == [True]
    assert str(attacks.ATTACKS.parse("pgd:db=20,target=")) != "pgd:db=20"

from melmoat.standard.book import Book
from melmoat.standard.levels import Level
from tests.standard.rows import member, row

L40, L20 = Level("l2", 40.0), Level("l2", 20.0)
LINF = Level("linf", 30.0)


def book() -> Book:
    return Book([row("a", "GO ON NOW", ["GO ON NOW"] * 2), row("b", "STOP", ["STOP"] * 2)])


def test_the_choosing_draws_choose_and_the_judging_draws_are_reported() -> None:
    found = book()
    lucky = row("a", "GO ON NOW", ["GO ON NOW", "GO ON"], ["", ""])  # worst only to the judge
    chosen = row("a", "GO ON NOW", ["GO", "GO"], ["GO ON NOW", "GO"])
    found.add(L20, member("lucky"), [lucky])
    found.add(L20, member("chosen"), [chosen])
    worst = found.worst(L20, "a")
    assert worst.member == "chosen"
    assert found.judged([worst]) == [1.0]  # the mean of 0 and 2 words
    assert found.worst(L20, "b").member == "clean"  # nobody attacked it


def test_insertions_count_up_to_the_length_and_break_ties() -> None:
    found = book()
    found.add(L20, member("one"), [row("b", "STOP", ["GO", "GO"])])
    found.add(L20, member("many"), [row("b", "STOP", ["GO ON AND ON", "GO ON"])])
    worst = found.worst(L20, "b")
    assert worst.member == "many"
    assert found.harm(worst) == (1.0, 3.0)
    assert found.chosen_rate(L20) == 25.0  # one word of four


def test_an_utterance_has_fallen_if_one_candidate_is_wholly_wrong_in_every_choosing_draw() -> None:
    found = book()
    found.add(L20, member("some"), [row("b", "STOP", ["GO", "STOP"], ["GO", "GO"])])
    assert found.fallen(L20) == set()
    found.add(L20, member("all"), [row("b", "STOP", ["GO", ""], ["STOP", "STOP"])])
    assert found.fallen(L20) == {"b"}


def test_what_breaks_a_level_breaks_those_that_contain_it() -> None:
    found = book()
    found.add(LINF, member("box"), [row("b", "STOP", ["GO", "GO"])])
    assert found.fallen(L20) == {"b"}
    assert found.fallen(L40) == set()
    assert found.worst(L20, "b").level == LINF
    assert found.of(L20, "box") == {}  # whose own member it is not
    assert found.worst(L20, "b", ["weaker"]).member == "clean"


def test_texts_without_spaces_are_counted_in_characters() -> None:
    found = Book([row("a", "你好世界", ["你好世界"])])
    found.add(L20, member("one"), [row("a", "你好世界", ["你好"])])
    assert found.unit == "chars"
    assert found.judged([found.worst(L20, "a")]) == [2.0]

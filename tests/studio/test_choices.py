"""What visitors may ask for."""

from pathlib import Path

import pytest

import melmoat
from melmoat.attacks import ATTACKS
from melmoat.errors import MelmoatError
from melmoat.studio.choices import ATTACKS_OFFERED, DEFENSES, Offer, attack_spec


@pytest.mark.parametrize(
    ("offered", "target", "spec"),
    [
        ("pgd", "", "pgd:db=25,steps=7"),
        ("pgd", " stop  it", "pgd:db=25,steps=7,target=stop it"),
        ("apgd:steps=9", "", "apgd:db=25,steps=9"),
        ("pgd:norm=linf,eps=0.01", "", "pgd:norm=linf,eps=0.01,steps=7"),
        ("kenansville", "", "kenansville:db=25"),
        ("noise", "", "noise:db=25"),
        ("none", "", "none"),
        ("cw", "STOP", "cw:target=STOP,steps=7"),
    ],
)
def test_an_attack_takes_the_settings_that_it_has(offered: str, target: str, spec: str) -> None:
    made = attack_spec(offered, 25, 7, target)
    assert ATTACKS.parse(made) == ATTACKS.parse(spec)


@pytest.mark.parametrize(
    "target",
    [
        "a,eps=9",
        "A, eps=9",
        "(STOP)",
        "STOP)",
        "A=B",
        "none",
        "Matched",
        "matched-2",
        "Shorter",
        "endless",
        "a:b",
        "$(rm)",
        "<b>",
        "x" * 101,
    ],
)
def test_a_target_cannot_mean_anything_else(target: str) -> None:
    with pytest.raises(MelmoatError, match="the target"):
        attack_spec("pgd", 20, 5, target)


@pytest.mark.parametrize("target", ["Geh, nicht!", "L'ÉTÉ", "go on.", "Mr. Smith", "twenty-one"])
def test_a_sentence_is_a_target_word_for_word(target: str) -> None:
    assert ATTACKS.parse(attack_spec("pgd", 20, 5, target)).args["target"] == target


@pytest.mark.parametrize(("db", "steps"), [(-1, 5), (51, 5), (20, 0), (20, 201), (float("nan"), 5)])
def test_numbers_out_of_range_are_refused(db: float, steps: int) -> None:
    with pytest.raises(MelmoatError, match=r"the strength|steps are"):
        attack_spec("pgd", db, steps)


def test_a_control_aims_at_no_text() -> None:
    with pytest.raises(MelmoatError, match="leave the target empty"):
        attack_spec("noise", 20, 5, "STOP")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("models", "python:os:getcwd"),
        ("models", "deepspeech2:/etc/passwd"),
        ("defenses", "python:os:getcwd"),
        ("attacks", "transfer:python:os:getcwd"),
        ("attacks", "pgd:steps=9"),
    ],
)
def test_only_specs_on_the_list_are_taken(kind: str, spec: str) -> None:
    offer = Offer(["ds2-an4"], ATTACKS_OFFERED, DEFENSES)
    with pytest.raises(MelmoatError, match="is not offered here"):
        offer.check(kind, spec)


def test_a_choice_says_in_words_what_it_is() -> None:
    offer = Offer(["ds2-an4"], ["pgd:steps=9"], ["rs:snr=15,votes=5"])
    for kind, words in {
        "models": "The DeepSpeech2 that ships",
        "attacks": "Projected gradient descent",
        "defenses": "Randomized smoothing",
    }.items():
        (spec,) = getattr(offer, kind)
        assert offer.titled(kind) == [(f"{words} ({spec})", spec)]


def test_a_list_is_not_empty() -> None:
    with pytest.raises(MelmoatError, match="models"):
        Offer([])


def test_what_the_doctests_leave_out_has_none() -> None:
    for name in ("page", "serving"):  # see the conftest.py of the repository
        code = Path(melmoat.__file__).parent / "studio" / f"{name}.py"
        assert ">>>" not in code.read_text("utf-8")

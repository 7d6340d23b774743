"""Links that open the page with a form filled in."""

from urllib.parse import parse_qsl

import pytest

from melmoat.studio.choices import Offer
from melmoat.studio.links import Form, asked

OFFER = Offer(models=("ds2-an4", "python:mine:load"), defenses=("none", "rs:snr=15,votes=5"))
EXAMPLES = ["GO (fash)", "STOP & GO"]
FULL = Form(
    example="STOP & GO",
    model="python:mine:load",
    attack="apgd",
    target="OPEN THE DOOR, NOW",
    db=31,
    steps=7,
    defense="rs:snr=15,votes=5",
    adaptive=False,
    seed=2**31,
)


def read(link: str) -> tuple[dict[str, object], list[str]]:
    return asked(dict(parse_qsl(link[1:], strict_parsing=True)), OFFER, EXAMPLES)


def test_a_link_sets_what_the_form_had() -> None:
    assert read(FULL.query()) == (vars(FULL), [])


def test_spaces_around_a_target_are_not_in_it() -> None:
    for typed, kept in ((" STOP  NOW ", "STOP NOW"), ("  ", "")):
        form = Form(None, "ds2-an4", "pgd", typed, 20, 50, "none", True, 0)
        ask, wrong = read(form.query())
        assert (ask.get("target", ""), wrong) == (kept, [])


def test_a_recording_and_no_target_are_not_in_it() -> None:
    plain = Form(None, "ds2-an4", "pgd", "", 20, 50, "none", True, 0)
    left = {name: value for name, value in vars(plain).items() if name not in ("example", "target")}
    assert read(plain.query()) == (left, [])


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("model=whisper:tiny", "'whisper:tiny' is not offered here"),
        ("defense=python:os:system", "is not offered here"),
        ("attack=", "'' is not offered here"),
        ("example=../secret.wav", "there is no example"),
        ("target=a,steps=9", "cannot be used"),
        ("target=" + "x" * 101, "101 letters"),
        ("db=51", "from 0 to 50"),
        ("db=nan", "from 0 to 50"),
        ("steps=0", "from 1 to 200"),
        ("steps=1e2", "from 1 to 200"),
        ("steps=" + "9" * 9999, "from 1 to 200"),
        ("steps=" + "0" * 12 + "9999", "from 1 to 200"),
        ("seed=" + "0" * 12 + "9" * 5000, "from 0 to 2147483648"),
        ("seed=-1", "from 0 to 2147483648"),
        ("seed=\u0663", "from 0 to"),
        ("adaptive=maybe", "true or false"),
    ],
)
def test_what_is_not_possible_is_left_out_with_the_reason(query: str, why: str) -> None:
    name, _, value = query.partition("=")
    ask, wrong = asked(
        {name: value, "db": "30"} if name != "db" else {name: value}, OFFER, EXAMPLES
    )
    assert ask == ({"db": 30} if name != "db" else {})
    assert len(wrong) == 1
    assert why in wrong[0]
    assert len(wrong[0]) < 300


def test_names_that_are_not_of_the_form_are_for_others() -> None:
    assert asked({"__theme": "dark", "view": "api"}, OFFER, EXAMPLES) == ({}, [])

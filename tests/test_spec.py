import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from melmoat.attacks import ATTACKS
from melmoat.data import CORPORA
from melmoat.defenses import DEFENSES
from melmoat.models import MODELS
from melmoat.spec import Before, Registry, SpecError


@dataclass
class Part:
    size: int = 3
    scale: float = 0.5
    norm: Literal["l2", "linf"] = "l2"
    deep: bool = False
    limit: float | None = None


def from_path(path: Path, width: int = 1) -> Part:
    return Part(width if path.name else 0)


FAMILY: Registry[Part] = Registry("part", {"part": Part, "file": from_path})


def of_two(path: Path, part: str, width: int = 1) -> Part:
    return Part(width)


def test_usage_shows_only_the_first_argument_without_its_key() -> None:
    family: Registry[Part] = Registry("part", {"two": of_two})
    assert family.usage("two") == "two:PATH,part=PART,width=1"
    assert family.parse("two:a,part=b").text == "two:a,part=b"


def test_values_take_the_types_of_the_signature() -> None:
    built = FAMILY.build("part:scale=2,deep=true,size=4,norm=linf,limit=1e-3")
    assert built == Part(4, 2.0, "linf", True, 1e-3)


@pytest.mark.parametrize(
    ("written", "short"),
    [
        ("part", "part"),
        ("part:size=3", "part"),
        ("part:deep=true,size=4", "part:size=4,deep=true"),
        ("part:scale=0.50", "part"),
        ("part:limit=0.001", "part:limit=0.001"),
        ("file:/a/b=c.x", "file:/a/b=c.x"),
        ("file:width=2,path=x", "file:x,width=2"),
        ("file:(a,b),width=2", "file:(a,b),width=2"),
        ("file:(a)", "file:a"),
        ("file:path=lr=3/a.x", "file:path=lr=3/a.x"),
        ("file:x, width=2", "file:x,width=2"),
    ],
)
def test_equal_specs_have_one_spelling(written: str, short: str) -> None:
    spec = FAMILY.parse(written)
    assert str(spec) == short
    assert FAMILY.parse(short) == spec


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("prat", "unknown part 'prat'; known: file, part .did you mean 'part'"),
        ("part:sise=3", "unknown key 'sise=3'; known keys: size, scale"),
        ("part:size=3,size=4", "given twice"),
        ("part:size=big", "size must be a whole number; got 'big'"),
        ("part:size=1.5", "size must be a whole number"),
        ("part:norm=l1", "norm must be one of l2, linf"),
        ("part:deep=yes", "deep must be true or false"),
        ("part:7", "unknown key '7'"),
        ("file:a,b", "with commas in parentheses"),
        ("file:lr=3/a.x", "write path=lr=3/a.x if it is that"),
        ("file", "needs path: file:PATH,width=1"),
        ("part:", None),
    ],
)
def test_a_wrong_spec_is_answered_with_what_is_known(spec: str, message: str | None) -> None:
    if message is None:
        assert FAMILY.build(spec) == Part()
        return
    with pytest.raises(SpecError, match=message):
        FAMILY.build(spec)


@pytest.mark.parametrize("family", [MODELS, DEFENSES, ATTACKS, CORPORA], ids=lambda f: f.kind)
def test_every_part_can_be_written(family: Registry[object]) -> None:
    for name in family.table:
        assert family.usage(name).startswith(name)
        with pytest.raises(SpecError):
            family.parse(f"{name}:no_such_key=1")


def of_late(path: Path, level: Annotated[Literal["new", "old"], Before("old")] = "new") -> Part:
    return Part(norm="l2" if level == "new" else "linf")


@pytest.mark.parametrize(
    ("written", "text", "lasting", "dated", "undated"),
    [
        ("late:a", "late:a", "late:a,level=new", "late:a,level=new", "late:a,level=old"),
        ("late:a,level=new", "late:a", "late:a,level=new", "late:a,level=new", "late:a"),
        ("late:a,level=old", "late:a,level=old", "late:a", "late:a,level=old", "late:a,level=old"),
        ("file:a", "file:a", "file:a", "file:a", "file:a"),
    ],
)
def test_an_option_that_came_late(
    written: str, text: str, lasting: str, dated: str, undated: str
) -> None:
    family: Registry[Part] = Registry("part", {"late": of_late, "file": from_path})
    spec = family.parse(written)
    assert (spec.text, spec.lasting, spec.dated) == (text, lasting, dated)
    assert family.undated(written) == undated
    assert family.undated(family.dated(written)) == text
    assert family.dated("gone:x=1") == family.undated("gone:x=1") == "gone:x=1"


def test_floats_keep_all_their_digits() -> None:
    assert FAMILY.parse("part:scale=0.123456789").args["scale"] == 0.123456789
    assert str(FAMILY.parse("part:scale=0.123456789")) == "part:scale=0.123456789"


NEW_ATTACK = """
from __future__ import annotations
from dataclasses import dataclass
from melmoat.attacks import Objective

@dataclass(frozen=True)
class New(Objective):
    x: int = 1
"""


def test_inherited_options_need_no_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "new_attack.py").write_text(NEW_ATTACK)
    monkeypatch.syspath_prepend(str(tmp_path))
    family = Registry("attack", {"new": importlib.import_module("new_attack").New})
    made = family.build("new:x=2")
    assert (made.x, made.against) == (2, "benign")


@dataclass  # equal to others of its kind, so it has no hash
class Called:
    times: int = 2

    def __call__(self, text: str = "a") -> str:
        return self.times * text


def test_a_factory_need_not_have_a_hash() -> None:
    assert Registry("part", {"called": Called()}).build("called:text=b") == "bb"

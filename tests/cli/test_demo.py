import io
import json
import time
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from melmoat.bench import demo
from melmoat.cli.app import app
from melmoat.report.tables import robustness


@pytest.mark.slow
def test_the_demo_shows_what_it_says(tmp_path: Path) -> None:
    began = time.monotonic()
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    print(f"demo took {time.monotonic() - began:.0f} s")
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    wer = {(c["defense"], c["attack"]): c["wer"] for c in summary}
    benign, noise, _, strong = dict.fromkeys(c["attack"] for c in summary)
    bare, smooth, flooded = dict.fromkeys(c["defense"] for c in summary)
    assert wer[bare, benign] <= 15
    assert wer[bare, strong] >= wer[bare, noise] + 30
    assert wer[smooth, strong] < wer[bare, strong]
    assert wer[flooded, strong] < wer[bare, strong]
    assert "random noise leaves" in result.output
    assert list((tmp_path / "demo" / "audio").rglob("*.adversarial.flac"))
    assert (tmp_path / "demo" / "spectrograms.png").stat().st_size > 10_000


def test_the_story_is_told_from_the_table(tmp_path: Path) -> None:
    cells = demo.cells()
    assert len(cells) == 12
    assert {cell.model for cell in demo.cells("ds2-an4-wgn")} == {"ds2-an4-wgn"}
    summary = [
        {"defense": c.defense, "attack": c.attack, "key": c.key, "wer": float(i)}
        for i, c in enumerate(cells)
    ]
    text = demo.story(summary, tmp_path)
    assert "random noise leaves 1 % WER and the crafted perturbation 3 %" in text
    assert "brings that to 7 % and mel domain noise flooding to 11 %" in text
    assert "cost +4 and +8 points" in text
    assert cells[3].key in text
    assert f"melmoat report {tmp_path}" in text


def test_the_table_of_the_demo_fits_80_columns() -> None:
    cells = demo.cells()
    names = demo.labels(cells)
    summary = [
        {
            "model": c.model, "defense": c.defense, "attack": c.attack, "data": c.data,
            "seed": 0, "n": 8, "wer": 68.8, "wer_low": 56.9, "wer_high": 87.8,
            "labels": names[c],
        }
        for c in cells
    ]  # fmt: skip
    console = Console(width=80, record=True, file=io.StringIO())
    for table in robustness(summary):
        console.print(table)
    text = console.export_text()
    for words in ("no defense", "rs (smoothing)", "mdnf (flooding)", "noise 20 dB", "PGD 30 dB"):
        assert words in text
    assert text.count("[56.9, 87.8]") == 12

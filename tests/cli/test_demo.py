import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from melmoat.bench import demo
from melmoat.cli.app import app


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

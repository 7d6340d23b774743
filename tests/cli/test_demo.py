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
    benign, noise, _, strong = demo.ATTACKS
    noise, strong = (a.replace("norm=snr,", "") for a in (noise, strong))
    assert wer["none", benign] <= 15
    assert wer["none", strong] >= wer["none", noise] + 30
    assert wer["rs", strong] < wer["none", strong]
    assert "random noise leaves" in result.output
    assert list((tmp_path / "demo" / "audio").rglob("*.adversarial.flac"))


def test_the_story_is_told_from_the_table(tmp_path: Path) -> None:
    cells = demo.cells("ds2-an4")
    assert len(cells) == 8
    summary = [
        {"defense": c.defense, "attack": c.attack, "key": c.key, "wer": float(i)}
        for i, c in enumerate(cells)
    ]
    text = demo.story(summary, tmp_path)
    assert "random noise leaves 1 % WER and the crafted perturbation 3 %" in text
    assert "brings that to 7 %" in text
    assert "costs +4 points" in text
    assert cells[3].key in text

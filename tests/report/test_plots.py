import builtins
from pathlib import Path

import pytest
import torch

from melmoat.audio import Audio
from melmoat.defenses.shaping import Curve
from melmoat.errors import MelmoatError
from melmoat.report.plots import COLORS, curves, figure, spectrograms, trade_off


def text_of(path: Path) -> str:
    """What an SVG holds; matplotlib writes each text as a comment before its outlines."""
    return path.read_text()


def test_each_figure_is_written_and_names_what_it_shows(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    wave = Audio.of([torch.randn(4_000, generator=torch.Generator().manual_seed(0))])
    spectrograms(tmp_path / "s.svg", {"clean": wave, "defended": wave})
    curves(tmp_path / "c.svg", {"AN4": Curve((100.0, 1000.0), (1.0, 0.2), {})})
    wer = {"wer": 10.0, "wer_low": 8.0, "wer_high": 13.0}
    point = {"level": 0.15, "benign": wer, "attacked": wer}
    trade_off(tmp_path / "deep" / "t.svg", {"shaped": [point]})
    for path, words in {
        "s.svg": ["clean", "defended", "mel band"],
        "c.svg": ["AN4", "Hz"],
        "deep/t.svg": ["shaped", "0.15", "benign WER %"],
    }.items():
        content = text_of(tmp_path / path)
        assert all(f"<!-- {word}" in content for word in words), path


def test_more_lines_than_colors_are_all_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    names = [f"line {i}" for i in range(len(COLORS) + 2)]
    wer = {"wer": 10.0, "wer_low": None, "wer_high": None}
    point = {"level": 0.15, "benign": wer, "attacked": wer}
    curves(tmp_path / "c.svg", {name: Curve((100.0, 1000.0), (1.0, 0.2), {}) for name in names})
    trade_off(tmp_path / "t.svg", {name: [point] for name in names})
    for path in ("c.svg", "t.svg"):
        assert all(f"<!-- {name} -->" in text_of(tmp_path / path) for name in names), path


def test_a_missing_matplotlib_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with (
        pytest.raises(MelmoatError, match=r'pip install "melmoat\[plots\]"'),
        figure(tmp_path / "x.svg", 1, 1),
    ):
        pass


def test_a_format_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    with (
        pytest.raises(MelmoatError, match="cannot write"),
        figure(tmp_path / "x.mp3", 1, 1),
    ):
        pass

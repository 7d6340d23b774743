"""Detectors on a run's audio."""

from pathlib import Path

import pytest

import melmoat
from melmoat import audio, detectors, models
from melmoat.analysis.detection import Caught, caught, changed, score_run, separation
from melmoat.analysis.results import Result, read_results
from melmoat.bench import audio_store
from melmoat.bench.cell import grid
from melmoat.draws import Draws
from melmoat.errors import MelmoatError

CELL = grid(["ds2-an4"], ["none"], ["pgd:db=20"], ["demo"])[0]


def result(*rows: tuple[str, str, bool]) -> Result:
    """A cell of utterances a, b and so on: heard before, heard after, whether reached."""
    made = {
        name: {"benign": before, "adversarial": after, "reached": reached}
        for name, (before, after, reached) in zip("abcdef", rows, strict=False)
    }
    return Result(CELL, "key", made)


FOUR = result(
    ("GO", "STOP", True), ("GO", "NO", False), ("GO", "GO", False), ("GO ON", "STOP", True)
)
SCORES = {"a": 0.9, "b": 0.2, "c": 0.8, "d": 0.5}


def test_harmless_audio_is_counted_apart() -> None:
    assert caught(FOUR, SCORES, 0.5) == Caught(3, 1, 1, 1, 1, 4)
    assert caught(FOUR, SCORES, 0.5).unseen == 2
    assert caught(FOUR, SCORES, 1.0) == Caught(3, 0, 1, 0, 2, 4)


@pytest.mark.parametrize(
    ("before", "after", "normaliser", "is_changed"),
    [
        ("IT'S", "ITS", None, True),  # a word error
        ("ÉTÉ", "ETE", None, True),
        ("GO  ON", "GO ON", None, False),
        ("Go on.", "go on", "plain", False),
        ("Go on.", "go in", "plain", True),
        ("It's two.", "it is 2", "whisper-english+spelling-0123abcd", False),
        ("h i | h æ d", "h i h æ d", "phonemes", False),
        ("h i | h æ d", "h i | h æ z", "phonemes", True),
    ],
)
def test_harm_is_what_the_recognizers_own_comparison_says(
    before: str, after: str, normaliser: str | None, is_changed: bool
) -> None:
    if normaliser and normaliser.startswith("whisper"):
        pytest.importorskip("transformers")
    row = {"benign": before, "adversarial": after}
    assert changed(row if normaliser is None else {**row, "normaliser": normaliser}) is is_changed


def test_the_curve_is_that_of_the_harmful_ones() -> None:
    clean, noisy = {"a": 0.1, "b": 0.3}, {"a": 0.1, "b": 0.6}
    found = separation([clean, noisy], FOUR, SCORES)
    assert found is not None
    # Of 12 pairs of 0.9, 0.2, 0.5 and 0.1, 0.3, 0.1, 0.6: 4, 2 and 3 are in order.
    assert found.auc == 9 / 12
    assert found.low < found.auc < found.high
    assert (1.0, 1.0) in found.points
    assert separation([clean], result(("GO", "GO", False)), {"a": 1.0}) is None


def test_scores_are_of_the_audio_that_was_judged(tmp_path: Path) -> None:
    melmoat.evaluate(
        attacks=["none", "noise:db=10"], out=tmp_path / "kept", limit=1, save_audio=True
    )
    results = read_results(tmp_path / "kept")
    clean, noisy = score_run(tmp_path / "kept", results, "distriblock").values()
    (name,) = clean
    file = audio_store.find(
        audio_store.home(tmp_path / "kept", results[1].key), name, "adversarial"
    )
    assert file is not None
    (expected,) = detectors.score(
        detectors.build("distriblock"), models.load("ds2-an4"), audio.load(file), Draws([0])
    )
    assert noisy == {name: pytest.approx(expected)}
    assert clean[name] < noisy[name]  # less certain
    file.unlink()
    with pytest.raises(MelmoatError, match=f"no audio of {name}.*measure it with --save-audio"):
        score_run(tmp_path / "kept", results, "distriblock")

"""Progress on standard error."""

import io

import pytest
from rich.console import Console

from melmoat.cli import progress
from melmoat.cli.progress import bar, reported

LONG = "ds2-an4-mg / mdnf:vocoder=melgan-lab,level=0.1,shaping=flat / pgd:db=20,steps=100,eot=5"


def test_a_narrow_terminal_keeps_the_times_and_cuts_the_text() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, _environ={})
    with reported("bench", console) as report:
        report(10, 40, LONG)
        report(20, 40, f"[bold]{LONG}")
    last = screen.getvalue().split("\r")[-1].splitlines()[0]
    assert "…" in last
    assert "50%" in last
    assert last.count(":") >= 4  # two times, such as 0:00:07


def test_without_a_terminal_a_line_a_minute_is_logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 1.0, 60.0, 61.0, 150.0])

    def lines(say: object) -> progress.progress.Lines:
        return Lines(say, clock=lambda: next(now))  # type: ignore[arg-type]

    Lines = progress.progress.Lines
    monkeypatch.setattr(progress.progress, "Lines", lines)
    with bar("bench", 8) as tick:
        tick(2, LONG)
        tick(1)
        tick(1)
    assert capsys.readouterr().err.splitlines() == [
        f"bench: 2 of 8 done, 6 left, about 3 min to go: {LONG}",
        f"bench: 4 of 8 done, 4 left, about 2 min to go: {LONG}",
    ]


def test_work_of_the_same_size_has_a_pace_of_its_own() -> None:
    now = iter([0.0, 1.0, 2.0, 10.0, 100.0])
    said: list[str] = []
    lines = progress.progress.Lines(said.append, clock=lambda: next(now))
    lines(8, 20, "noise")
    lines(20, 20, "noise")
    lines(1, 20, "pgd")
    lines(10, 20, "pgd")  # nine in 90 seconds
    assert said == ["10 of 20 done, 10 left, about 2 min to go: pgd"]


def test_the_rest_is_never_below_zero(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 0.0, 61.0])
    lines = progress.progress.Lines(print, clock=lambda: next(now))
    for done in (1.0, 8.0 + 1e-9):  # a sum of parts of utterances
        lines(done, 8, LONG)
    assert capsys.readouterr().out == f"8 of 8 done, 0 left, about 0 s to go: {LONG}\n"

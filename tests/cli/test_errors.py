"""How commands end early."""

from pathlib import Path

import pytest

from melmoat.cli.errors import plain_errors, resumable
from melmoat.errors import MelmoatError


def test_an_error_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="1"), plain_errors():
        raise MelmoatError("no such corpus")
    assert capsys.readouterr().err == "error: no such corpus\n"


def test_an_interruption_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="130"), resumable("finished rows are", Path("run")):
        raise KeyboardInterrupt
    said = capsys.readouterr().err
    assert said == "interrupted: finished rows are in run; the same command goes on\n"

"""Help is read in a terminal of 80 columns, and says what every option is."""

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from melmoat.cli.app import app

GROUP = get_command(app).commands  # type: ignore[attr-defined]
COMMANDS = [[name] for name in GROUP] + [["train", name] for name in GROUP["train"].commands]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_fits_and_leaves_nothing_unsaid(command: list[str]) -> None:
    shown = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert shown.exit_code == 0
    assert max(map(len, shown.output.splitlines())) <= 80
    found = GROUP["train"].commands[command[1]] if command[1:] else GROUP[command[0]]
    for option in found.params:
        assert getattr(option, "help", None), f"{option.name} has no help"


def test_completion_is_offered() -> None:
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output
    assert "--install-completion" in shown

"""``make demo`` installs what the demo needs, ``make test`` the rest, in either order."""

import shutil
import subprocess
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")


def planned(target: str) -> list[str]:
    """The commands that a bare machine would run."""
    told = ["make", "--no-print-directory", "-n", "-B", target]
    done = subprocess.run(told, cwd=HOME, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_demo_needs_no_tools_of_development() -> None:
    commands = planned("demo")
    assert any(".[plots]" in command for command in commands)
    assert not any(".[dev]" in command or ".[docs]" in command for command in commands)
    assert commands[-1].endswith("melmoat demo")


def test_the_tests_add_the_rest_and_end_with_pytest() -> None:
    commands = planned("test")
    order = [i for name in ("[plots]", "[dev]") for i, c in enumerate(commands) if name in c]
    assert order == sorted(order)
    assert len(order) == 2
    assert "-m pytest" in commands[-1]


def test_the_gpu_check_has_what_the_tests_have() -> None:
    commands = planned("gpu-check")
    assert any(".[dev]" in command for command in commands)
    assert commands[-1].endswith("tools/gpu_check.py --device cuda")


def test_installs_are_pinned() -> None:
    installs = [c for name in ("test", "docs") for c in planned(name) if "pip install" in c]
    assert len(installs) == 4
    assert all("-c constraints.txt" in command for command in installs)

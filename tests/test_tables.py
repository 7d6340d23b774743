"""The documents show the tables that were measured."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
filled = runpy.run_path(str(HOME / "tools" / "tables.py"))["filled"]
DOCUMENTS = [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_tables_are_the_measured_ones(document: Path) -> None:
    text = document.read_text("utf-8")
    assert filled(text) == text, "run: python tools/tables.py"


def test_a_table_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.md").write_text("| new |\n")
    text = "x\n<!-- results/a.md -->\n| old |\n<!-- end -->\ny\n"
    assert filled(text, tmp_path) == "x\n<!-- results/a.md -->\n| new |\n<!-- end -->\ny\n"


@pytest.mark.slow
def test_the_table_of_defenses_is_of_the_runs() -> None:
    text, picture = (HOME / "results" / name for name in ("defenses.md", "defenses.svg"))
    before, drawn = text.read_text("utf-8"), picture.read_bytes()
    try:
        subprocess.run([sys.executable, str(HOME / "suites" / "defenses.py")], check=True)
        assert text.read_text("utf-8") == before, "run: python suites/defenses.py"
    finally:
        text.write_text(before, "utf-8")
        picture.write_bytes(drawn)

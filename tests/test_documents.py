"""The documents show the parts that there are, and their links lead somewhere."""

import re
import runpy
from pathlib import Path

import pytest

HOME = Path(__file__).parents[1]
parts = runpy.run_path(str(HOME / "tools" / "parts.py"))
DOCUMENTS = [*sorted(HOME.glob("*.md")), *sorted((HOME / "docs").rglob("*.md"))]
every = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def anchors(text: str) -> set[str]:
    """What places in a document are called in links: headings as GitHub and MkDocs name them, and
    the ids of a page."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", text), re.MULTILINE)
    kept = (re.sub(r"[^\w\s-]", "", heading.lower()).strip() for heading in headings)
    return {re.sub(r"\s", "-", heading) for heading in kept} | set(
        re.findall(r' id="([^"]+)"', text)
    )


@every
def test_tables_of_parts_are_the_registrys(document: Path) -> None:
    text = document.read_text("utf-8")
    assert parts["filled"](text) == text, "run: python tools/parts.py"


def test_the_readme_names_all_parts_and_the_page_of_parts_explains_them() -> None:
    assert "<!-- parts: names -->\n| family |" in (HOME / "README.md").read_text("utf-8")
    explained = (HOME / "docs" / "parts.md").read_text("utf-8")
    for kind in parts["FAMILIES"]:
        assert f"<!-- parts: {kind} -->\n| {kind} |" in explained


@pytest.mark.parametrize("kind", parts["FAMILIES"])
def test_each_part_says_in_one_line_what_it_is(kind: str) -> None:
    for row in parts["table"](kind).splitlines()[2:]:
        name, says = row.strip("| ").split(" | ", 1)
        assert 10 < len(says) <= 90, f"{name}: the docstring's first paragraph is one short line"


def test_a_table_is_replaced_and_nothing_else() -> None:
    text = "x\n<!-- parts: vocoder -->\n| old |\n<!-- end -->\ny\n"
    table = parts["table"]("vocoder")
    assert parts["filled"](text) == f"x\n<!-- parts: vocoder -->\n{table}<!-- end -->\ny\n"


@every
def test_links_lead_to_files_and_headings(document: Path) -> None:
    for link in LINK.findall(CODE.sub("", document.read_text("utf-8"))):
        link = link.strip("<>")
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.exists(), f"{link}: no such file"
        assert HOME in target.parents, f"{link}: outside of the repository"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{link}: no such heading"


def test_the_readme_is_a_page_and_not_a_book() -> None:
    text = (HOME / "README.md").read_text("utf-8")
    text = re.sub(r"<!-- .*?<!-- end -->", "", text, flags=re.DOTALL)  # measured tables
    tables = ("|", "┏", "┃", "┡", "│", "└")
    prose = [line for line in text.splitlines() if not line.startswith(tables)]
    assert len(" ".join(prose).split()) <= 1000

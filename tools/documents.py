"""Filling the places in documents that a command makes."""

import re
from collections.abc import Callable
from pathlib import Path

HOME = Path(__file__).parents[1]


def place(name: str) -> re.Pattern[str]:
    """What stands between ``<!-- NAME -->`` and ``<!-- end -->``; ``name`` is a regular expression
    with one group, which says what belongs there."""
    return re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, pattern: re.Pattern[str], content: Callable[[str], str]) -> str:
    """``text`` with ``content`` of each place's group in it."""
    return pattern.sub(lambda m: m[1] + content(m[2]) + m[3], text)


def rewrite(fill: Callable[[str], str]) -> None:
    """Fill the README and the documents; name those that change."""
    for document in [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]:
        before = document.read_text("utf-8")
        if (after := fill(before)) != before:
            document.write_text(after, "utf-8")
            print(document.relative_to(HOME))

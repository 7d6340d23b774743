"""Put the measured tables into the documents that show them.

python tools/tables.py

A document has ``<!-- results/FOLDER/NAME.md -->`` and ``<!-- end -->`` around each table; what is
between them is replaced by that file.
"""

import re
from pathlib import Path

HOME = Path(__file__).parents[1]
PLACE = re.compile(r"(<!-- (results/[\w/.-]+\.md) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(text: str, home: Path = HOME) -> str:
    """``text`` with every table as it is in its file now."""
    return PLACE.sub(lambda m: m[1] + (home / m[2]).read_text("utf-8") + m[3], text)


if __name__ == "__main__":
    for document in [HOME / "README.md", *sorted((HOME / "docs").glob("*.md"))]:
        before = document.read_text("utf-8")
        if (after := filled(before)) != before:
            document.write_text(after, "utf-8")
            print(document.relative_to(HOME))

"""Put the measured tables into the documents that show them.

python tools/tables.py

A document has ``<!-- results/FOLDER/NAME.md -->`` and ``<!-- end -->`` around each table; what is
between them is replaced by that file.
"""

from pathlib import Path

import documents
from documents import HOME

PLACE = documents.place(r"(results/[\w/.-]+\.md)")


def filled(text: str, home: Path = HOME) -> str:
    """``text`` with every table as it is in its file now."""
    return documents.filled(text, PLACE, lambda file: (home / file).read_text("utf-8"))


if __name__ == "__main__":
    documents.rewrite(filled)

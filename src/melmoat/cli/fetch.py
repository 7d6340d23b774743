"""``melmoat fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

fetching = typer.Typer()


@fetching.command()
def fetch(
    name: Annotated[
        list[str] | None,
        typer.Argument(
            help="What to fetch; paper is all that the paper's bench needs, lyra the codec."
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Folder for it. Default: $MELMOAT_CACHE, or melmoat in your cache folder."
        ),
    ] = None,
) -> None:
    """Download free corpora and weights, or list them.

    Downloads are checked against published hashes where there are any. The same command continues a
    download that was stopped.
    """
    from melmoat import files
    from melmoat.cli.errors import resumable
    from melmoat.cli.progress import reported
    from melmoat.fetching import CATALOGUE, GROUPS, chosen, located
    from melmoat.fetching import fetch as fetch_one

    home = to or files.cache()
    if not name:
        typer.echo(f"in {home}:")
        for source in CATALOGUE.values():
            there = "there" if located(source, home) else "-"
            least = "" if source.sha256 else "at least "
            digits = 0 if source.size > 1e7 else 1
            size = f"{least}{source.size / 1e6:,.{digits}f} MB"
            typer.echo(f"{source.name:24} {there:6} {size:>16}  {source.licence:10} {source.about}")
        typer.echo(f"several at once: {', '.join(GROUPS)}")
        return
    for source in chosen(name):
        with resumable("what came is", home / "downloads"), reported("fetch") as progress:
            typer.echo(fetch_one(source, home, progress))
    if to is not None and to.resolve() != files.cache().resolve():
        typer.echo(f"suites look in {files.cache()}; for this folder: export MELMOAT_CACHE={to}")

"""Commands on runs' folders: ``melmoat export``, ``leaderboard``, ``merge`` and ``rm``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from melmoat.cli.analysis import RunArgument
from melmoat.cli.errors import refuse_idle

runs = typer.Typer()


@runs.command()
def export(
    context: typer.Context,
    run: RunArgument,
    format: Annotated[
        Literal["csv", "json", "latex", "markdown"],
        typer.Option(help="csv and json: figures; latex and markdown: a table."),
    ] = "csv",
    rows: Annotated[
        bool, typer.Option("--rows", help="One line an utterance, not a cell (csv, json).")
    ] = False,
    audio: Annotated[
        Path | None,
        typer.Option(help="Copy the adversarial audio into this folder, with manifest.jsonl."),
    ] = None,
    suite: Annotated[
        str,
        typer.Option(help="Print this suite's table, as Markdown. It needs no corpus."),
    ] = "",
    data: Annotated[str, typer.Option(help="Corpus of the table. Default: the suite's.")] = "",
    seed: Annotated[int, typer.Option(help="Seed of the table's cells.")] = 0,
) -> None:
    """Print a run's figures, or copy its adversarial audio.

    The manifest has a JSON object a line: audio_filepath, text, and the row's fields.
    """
    from melmoat.analysis.results import as_json
    from melmoat.bench.suite import find
    from melmoat.errors import MelmoatError
    from melmoat.report.digest import mixed
    from melmoat.report.export import flat, write_audio
    from melmoat.runs import Run

    if audio is not None:
        idle = ["format", "rows", "suite", "data", "seed"]
        refuse_idle(context, idle, "are for figures, and --audio prints none")
    if suite:
        refuse_idle(context, ["format", "rows"], "do not go with --suite, which prints its table")
        typer.echo(Run(run).stored_table(find(suite), data, seed))
        return
    refuse_idle(context, ["data", "seed"], "choose from a suite: give one by --suite")
    opened = Run(run)
    if audio is None and not rows and (note := mixed(opened.results)):
        typer.echo(f"warning: {note}", err=True)
    if audio is not None:
        manifest, count = write_audio(run, opened.results, audio)
        typer.echo(f"{manifest}: {count} recordings. Use it as manifest:{manifest}")
        if silent := sum(len(result.rows) for result in opened.results) - count:
            typer.echo(f"warning: {silent} rows have no audio here, so they are left out", err=True)
        return
    if rows and format in ("latex", "markdown"):
        raise MelmoatError("--rows goes with --format csv or json")
    if format == "json":
        typer.echo(as_json(opened.rows() if rows else flat(opened.summary)))
    elif format == "csv":
        typer.echo(opened.to_csv(rows=rows), nl=False)
    else:
        typer.echo(opened.to_latex() if format == "latex" else opened.to_markdown(), nl=False)


@runs.command()
def leaderboard(
    paths: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Runs, or folders of runs.")
    ],
    out: Annotated[
        Path, typer.Option(help="Files to write, with the suffixes .md and .html.")
    ] = Path("leaderboard"),
) -> None:
    """Rank the systems of many runs by their worst case.

    It writes Markdown and a page.
    """
    import shlex

    from melmoat.report.leaderboard import write_leaderboard

    place = [] if out == Path("leaderboard") else ["--out", str(out)]
    command = shlex.join(["melmoat", "leaderboard", *map(str, paths), *place])
    for path in write_leaderboard(paths, out, command):
        typer.echo(path)


@runs.command()
def merge(
    run: RunArgument,
    other: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Runs to add to it.")],
) -> None:
    """Add the rows and audio of other runs to the first one.

    The first one may be a new folder. Runs that measured the same utterance differently are not
    merged.
    """
    from melmoat.bench.merging import merge as put_together

    for folder in other:
        added = put_together(run, folder)
        typer.echo(f"{folder}: {added} rows added to {run}")


@runs.command()
def rm(
    run: RunArgument,
    row: Annotated[str, typer.Argument(help="A cell by its name or label, or a part of it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a cell from a run: its rows and audio."""
    from melmoat.analysis.compare import find_row
    from melmoat.analysis.results import read_results
    from melmoat.bench.merging import remove

    found = find_row(read_results(run), row, run)
    said = f"{found.name} ({len(found.rows)} rows)"
    if not yes and not typer.confirm(f"delete {said} from {run}?"):
        raise typer.Exit(1)
    remove(run, [found.key])
    typer.echo(f"deleted {said}")

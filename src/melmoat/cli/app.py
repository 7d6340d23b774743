"""All commands. Heavy imports are inside them, so that ``melmoat --help`` answers at once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from melmoat import __version__
from melmoat.cli.analysis import reading
from melmoat.cli.certify import certifying
from melmoat.cli.check import checks
from melmoat.cli.detect import detecting
from melmoat.cli.errors import refuse_idle
from melmoat.cli.evaluate import evaluating
from melmoat.cli.fetch import fetching
from melmoat.cli.files import files
from melmoat.cli.options import (
    DeviceOption,
    SeedOption,
)
from melmoat.cli.runs import runs
from melmoat.cli.serve import serving
from melmoat.cli.studio import trying
from melmoat.cli.train import train

if TYPE_CHECKING:
    from collections.abc import Mapping

    from melmoat.bench.cell import Cell
    from melmoat.bench.runner import Runner
    from melmoat.bench.suite import Suite
    from melmoat.runs import Run

Choose = Literal["shuffled", "spread"]

app = typer.Typer(
    help="Attack, defend and measure automatic speech recognition.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich takes a quarter of a second to import
    pretty_exceptions_enable=False,
)
app.add_typer(train, name="train")
app.add_typer(files)
app.add_typer(reading)
app.add_typer(runs)
app.add_typer(checks)
app.add_typer(fetching)
app.add_typer(evaluating)
app.add_typer(serving)
app.add_typer(certifying)
app.add_typer(detecting)
app.add_typer(trying)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"melmoat {__version__}")
        raise typer.Exit


@app.callback()
def _melmoat(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Attack, defend and measure automatic speech recognition."""


@app.command("list")
def list_parts(
    name: Annotated[str | None, typer.Argument(help="Part to explain, such as pgd.")] = None,
) -> None:
    """List all parts with their options, or explain one part.

    Parts are models, vocoders, defenses, detectors, attacks, corpora and executors.
    """
    import inspect

    from melmoat.attacks import ATTACKS
    from melmoat.bench.executors import EXECUTORS
    from melmoat.data import CORPORA
    from melmoat.defenses import DEFENSES
    from melmoat.detectors import DETECTORS
    from melmoat.errors import MelmoatError, alike
    from melmoat.models import MODELS
    from melmoat.vocoders import VOCODERS

    families = (MODELS, VOCODERS, DEFENSES, DETECTORS, ATTACKS, CORPORA, EXECUTORS)
    if name and not any(name in family.names for family in families):
        near = alike(name, [known for family in families for known in family.names])
        raise MelmoatError(f"no part called {name!r}{near}; `melmoat list` shows all")
    for family in families:
        chosen = [part for part in family.names if name in (None, part)]
        if chosen:
            typer.secho(family.kind, bold=True)
        for part in chosen:
            try:
                typer.echo(f"  {family.usage(part)}")
            except MelmoatError as error:  # of a package that is broken
                typer.echo(f"  {part}: {error}")
                continue
            if name:
                factory = family.factory(part)
                shared = getattr(factory, "__mro__", (factory,))[1:]
                shared = [base for base in shared if "Args:" in (base.__doc__ or "")]
                for base in (factory, *shared):
                    heading = "" if base is factory else f"{base.__name__}: "
                    typer.echo(f"\n{heading}{_plain(inspect.cleandoc(base.__doc__ or ''))}")


def _plain(text: str) -> str:
    """A docstring without its markup: a reference is the last name in it, or nothing if it is
    alone in parentheses."""
    alone = r"(\s+)\(:\w+:`[^`]*`\)([.,:;]*) ?(\n?)"
    text = re.sub(alone, lambda found: found[2] + (found[3] or found[1]), text).rstrip()
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"\1", text)
    text = re.sub(r":\w+:`([^`<]+?) *<[^`]*>`", r"\1", text)
    return re.sub(r"``([^`]*)``", r"\1", text)


@app.command()
def data(
    spec: Annotated[str | None, typer.Argument(help="Corpus, such as an4:PATH.")] = None,
    download: Annotated[
        bool,
        typer.Option(
            "--download", help="Download it first. Only for librispeech:DIR/LibriSpeech/PART."
        ),
    ] = False,
) -> None:
    """List the kinds of corpora, or describe one corpus.

    Utterances that cannot be used are named.
    """
    from melmoat.data import describe, fetch, listed, whole
    from melmoat.errors import MelmoatError

    if download:
        if spec is None:
            raise MelmoatError("--download takes a corpus: librispeech:DIR/LibriSpeech/PART")
        fetch(spec)
    cuts = None if spec is None else listed(spec)
    typer.echo(describe(spec, cuts))
    if spec is not None and cuts is not None:
        whole(cuts, spec)


@app.command()
def bench(
    context: typer.Context,
    out: Annotated[
        Path, typer.Option(help="Folder for results. If the run is there already, it continues.")
    ],
    model: Annotated[list[str], typer.Option(help="Recognizer. May be repeated.")] = ["ds2-an4"],  # noqa: B006
    data: Annotated[
        list[str],
        typer.Option(help="Corpus. May be repeated. Default: demo, or the suite's corpus."),
    ] = [],  # noqa: B006
    defense: Annotated[list[str], typer.Option(help="Defense. May be repeated.")] = ["none"],  # noqa: B006
    attack: Annotated[list[str], typer.Option(help="Attack. May be repeated.")] = ["none"],  # noqa: B006
    suite: Annotated[
        str, typer.Option(help="Table to measure: a Python file, or a name from suites/.")
    ] = "",
    row: Annotated[list[str], typer.Option(help="Row of the suite. Default: all rows.")] = [],  # noqa: B006
    column: Annotated[list[str], typer.Option(help="Column of the suite. Default: all.")] = [],  # noqa: B006
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, help="Utterances per corpus (0 = all). Default: all, or the suite's value."
        ),
    ] = None,
    choose: Annotated[
        Choose | None,
        typer.Option(
            help="Which utterances --limit takes. shuffled: a larger limit adds to a smaller one. "
            "spread: evenly over the corpus. Default: shuffled, or the suite's value."
        ),
    ] = None,
    label: Annotated[
        list[str], typer.Option(help="What tables call a part: NAME=SPEC. May be repeated.")
    ] = [],  # noqa: B006
    batch: Annotated[int, typer.Option(min=1, help="Utterances in a batch.")] = 8,
    seconds: Annotated[
        float,
        typer.Option(min=0, help="Most seconds of audio in a batch, with padding (0 = no limit)."),
    ] = 0,
    seed: SeedOption = 0,
    save_audio: Annotated[
        bool, typer.Option("--save-audio", help="Keep the audio, as FLAC.")
    ] = False,
    executor: Annotated[
        str, typer.Option(help="Where to work: here, processes:workers=2, or ray:address=auto.")
    ] = "here",
    device: DeviceOption = "cpu",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Measure nothing. Print what is left and how long it may take."
        ),
    ] = False,
) -> None:
    """Measure models, defenses and attacks on a corpus.

    Every model meets every defense and every attack. With --suite, a table is measured instead.
    The same command continues a run that was stopped.
    """
    from melmoat.bench.cell import grid
    from melmoat.bench.executors import EXECUTORS
    from melmoat.bench.labels import of_suite
    from melmoat.bench.runner import Runner
    from melmoat.bench.store import Store
    from melmoat.bench.suite import find
    from melmoat.cli.labels import given_labels

    if suite:
        idle = ["model", "defense", "attack", "label"]
        refuse_idle(context, idle, "are the suite's: leave them out")
    else:
        refuse_idle(context, ["row", "column"], "choose from a suite: give one by --suite")
    table = find(suite) if suite else None
    labels: dict[Cell, tuple[str, str]] = {}
    if table:
        for corpus in data or [table.data]:
            chosen = table.chosen(row, column, corpus, seed)
            labels |= {cell: label for label, cell in chosen.items()}
        cells, named = list(labels), of_suite(labels)
        limit = table.limit if limit is None else limit
    else:
        cells = grid(model, defense, attack, data or ["demo"], seed)
        named = given_labels(label, cells)
    how = choose or (table.choose if table else "shuffled")
    who = EXECUTORS.build(executor)
    runner = Runner(Store(out), batch, limit or 0, save_audio, seconds, who, device, how)
    if dry_run:
        forecast(runner, cells, labels)
    else:
        measured(runner, cells, named, table, data, seed)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for results.")] = Path("melmoat-demo"),
    model: Annotated[
        str | None, typer.Option(help="Use another recognizer, such as whisper:tiny.en.")
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Attack and defend a small recognizer, in two minutes.

    Everything that it needs ships with melmoat.
    """
    from melmoat.bench import audio_store
    from melmoat.bench.demo import UTTERANCES, cells, labels, story
    from melmoat.bench.runner import Runner
    from melmoat.bench.store import Store
    from melmoat.errors import MelmoatError
    from melmoat.report.plots import saved_spectrograms

    if model is not None:
        from melmoat import models

        origin = getattr(models.load(model), "origin", "")
        typer.echo(f"{model}: {origin}" if origin else model)
    asked = cells(model)
    runner = Runner(
        Store(out), UTTERANCES, UTTERANCES, save_audio=True, device=device, choose="spread"
    )
    run = measured(runner, asked, labels(asked))
    typer.echo(story(run.summary, out))
    try:
        saved_spectrograms(out / "spectrograms.png", audio_store.home(out, asked[-1].key))
        typer.echo(f"{out / 'spectrograms.png'}: clean, adversarial and defended speech")
    except MelmoatError as error:  # a figure is worth no failure
        typer.echo(f"no figure: {error}")


def measured(
    runner: Runner,
    cells: list[Cell],
    labels: Mapping[Cell, Mapping[str, str]] | None = None,
    table: Suite | None = None,
    data: list[str] | None = None,
    seed: int = 0,
) -> Run:
    """Run cells under a progress bar and print the tables.

    Args:
        table: whose cells they are; it is written beside the rows, as Markdown.
        data, seed: its corpora, where they are not its own, and its seed.

    Raises:
        StoreError: utterances failed; the others were measured.
    """
    from rich.console import Console

    from melmoat.cli.errors import resumable
    from melmoat.cli.progress import reported
    from melmoat.evaluation import measure
    from melmoat.report.tables import robustness

    folder = runner.store.folder
    with resumable("finished rows are", folder), reported("bench") as progress:
        run = measure(runner, cells, labels, progress)
    console = Console()
    if table:
        for corpus in data or [table.data]:
            text = run.suite_table(table, corpus, seed)
            typer.echo(f"{corpus}\n{text}" if len(data or []) > 1 else text)
    else:
        for one in robustness(run.summary):
            console.print(one)
    console.print(f"rows, summary and settings: {folder}", soft_wrap=True)
    if others := runner.others(cells):
        counted = "counted too" if table and table.choose == "spread" else "not counted"
        console.print(
            f"{counted}: {others} rows of utterances that this call did not choose (an earlier one "
            "in this folder had another --limit or --choose, or the corpus changed)",
            soft_wrap=True,
        )
    if runner.save_audio and (silent := runner.without_audio(cells)):
        console.print(
            f"{silent} utterances had been measured without audio; --out with another folder "
            "measures them again and keeps it",
            soft_wrap=True,
        )
    runner.require_whole(cells)
    return run


def forecast(runner: Runner, cells: list[Cell], labels: dict[Cell, tuple[str, str]]) -> None:
    """Print what is left of ``cells`` and an estimate of its cost on this machine.

    Args:
        labels: row and column of those that a suite names.
    """
    from rich.console import Console

    from melmoat.bench.estimate import estimate
    from melmoat.cli.progress import bar
    from melmoat.report.tables import costs

    with bar("timing", len(cells)) as tick:
        found = estimate(runner, cells, lambda cell: tick(1, f"{cell.defense} / {cell.attack}"))
    Console().print(costs(found, labels))

"""Commands that read runs: ``melmoat audit``, ``compare``, ``meaning`` and ``report``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from melmoat.analysis.audit import Audited

reading = typer.Typer()

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]


@reading.command()
def audit(
    run: RunArgument,
    bare: Annotated[
        bool,
        typer.Option(
            "--bare",
            help="Include recognizers without a defense (they may be trained to be robust).",
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Search a run for signs of a false sense of security.

    Each defended row gets a verdict, with the evidence. Missing evidence comes with the commands
    that measure it.

    Exit code 0: no sign was found, and no evidence is missing. 3: a row is suspect. 4: no row is
    suspect, but evidence is missing or too thin, or no row is defended.
    """
    from melmoat.analysis.audit import audit as examine
    from melmoat.analysis.audit import exit_code
    from melmoat.analysis.results import as_json, read_results
    from melmoat.report.findings import findings

    audited = examine(read_results(run), bare)
    if json:
        typer.echo(as_json([row.as_dict() for row in audited]))
    else:
        from rich.console import Console

        console = Console()
        for table in findings(audited):
            console.print(table)
        _print_missing(run, audited)
        verdicts = Counter(row.verdict for row in audited)
        said = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items())
        if audited:
            rows = "1 defended row" if len(audited) == 1 else f"{len(audited)} defended rows"
            console.print(f"{rows}: {said}")
        else:
            console.print("no defended row to examine: a defense inside a recognizer is not seen")
    raise typer.Exit(exit_code(audited))


def _print_missing(run: Path, audited: Sequence[Audited]) -> None:
    """What to run for the evidence that is missing, ready to paste."""
    from melmoat.analysis.missing import command
    from melmoat.bench.store import Store

    store = Store(run)
    asked, limits = store.run().get("asked", {}), store.limits()
    for row in audited:
        system = row.model, row.defense, row.data, row.seed
        own = [n for c, n in limits.items() if (c.model, c.defense, c.data, c.seed) == system]
        limit = (max(own) if all(own) else 0) if own else asked.get("limit")
        place = row.model, row.data, row.seed
        for line in command(str(run), place, row.wanted, {**asked, "limit": limit}):
            typer.echo(f"measures what is missing of {row.name}:\n\n{line}\n")
        if row.needed:
            typer.echo(
                f"{row.name}: {row.needed} utterances would settle what is open: the same commands "
                f"with --limit {row.needed}, if {row.data_name} has as many\n"
            )


@reading.command()
def compare(
    run: RunArgument,
    other: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]", help="Another run. Without it, the rows of one run are compared."
        ),
    ] = None,
    row: Annotated[
        list[str],
        typer.Option(
            help="Row to compare: MODEL / DEFENSE / ATTACK, or a system under all attacks: MODEL / "
            "DEFENSE, or a label. Give it twice."
        ),
    ] = [],  # noqa: B006
    target: Annotated[
        bool,
        typer.Option("--target", help="Compare targeted attacks by the WER against their targets."),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Compare runs, or rows of one run, by utterance.

    Prints the difference in WER, its 95 % intervals (over utterances and over speakers, if they are
    known) and its p-value. A star marks a difference that is significant among all comparisons.
    The column "needed" has the number of utterances that would show such a difference, and "told
    apart" the verdict.
    """
    from dataclasses import asdict

    from melmoat.analysis.compare import compare_runs
    from melmoat.analysis.evidence import ENOUGH
    from melmoat.analysis.results import as_json
    from melmoat.report.findings import comparisons, star

    found = compare_runs(run, other, row, target)
    if json:
        typer.echo(as_json([asdict(comparison) for comparison in found]))
        return
    from rich.console import Console

    console = Console()
    console.print(comparisons(found))
    for ours, theirs in dict.fromkeys(c.normalisers for c in found if c.normalisers):
        console.print(
            f"warning: some rows are counted after the normaliser {ours}, and those that they are "
            f"compared with after {theirs}: a part of the difference may be theirs",
            markup=False,
        )
    if not any(comparison.difference for comparison in found):
        console.print("too few utterances in common for an interval", style="dim")
        return
    console.print(
        "told apart: p below 0.05 and an interval without zero; [low, high]: 95 % paired bootstrap "
        f"over utterances, from {ENOUGH} on; needed: utterances that tell such a difference from "
        "none four times in five",
        style="dim",
        markup=False,
    )
    if len(found) > 1:
        console.print(star(len(found)), style="dim", markup=False)


@reading.command()
def meaning(
    run: RunArgument,
    row: Annotated[
        list[str],
        typer.Option(help="Row to show: MODEL / DEFENSE / ATTACK, or a label. Several times."),
    ] = [],  # noqa: B006
    model: Annotated[
        str | None,
        typer.Option(
            help="Sentence model: a folder or a hub name. Default: all-MiniLM-L6-v2 from its "
            "package."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Say how much of the meaning the transcripts of a run keep.

    Prints the semantic distance between each reference and transcript: one minus the cosine of
    their sentence embeddings, with its 95 % interval over utterances. 0 is the same meaning. The
    distance to the references of other utterances (others) says what no relation is. English only;
    extra semantic.
    """
    from dataclasses import asdict

    from melmoat.analysis.results import as_json
    from melmoat.cli.errors import interruptible
    from melmoat.cli.progress import reported
    from melmoat.report.meaning import meaning_tables
    from melmoat.runs import Run
    from melmoat.standard import MEMBERS

    home = run / MEMBERS if (run / MEMBERS / "run.json").is_file() else run  # of `evaluate`
    with interruptible("nothing is stored"), reported("meaning") as progress:
        found = Run(home).meaning(row, model, progress)
    if json:
        typer.echo(as_json([asdict(one) for one in found]))
        return
    from rich.console import Console

    console = Console()
    for table in meaning_tables(found):
        console.print(table)
    for one in found:
        if one.left_out:
            console.print(f"{one.name}: left out, {one.left_out}", style="dim", markup=False)
    if home != run:
        console.print(
            "these cells of `melmoat evaluate` have not the same utterances: do not compare them",
            style="dim",
            markup=False,
        )
    encoder = next(one.encoder for one in found if one.encoder)
    console.print(
        f"distance: one minus the cosine of sentence embeddings of {encoder}, 0 to 2; 1 where "
        "nothing was written; [low, high]: 95 % bootstrap over utterances; others: the mean "
        "distance to references of other utterances, so what no relation is",
        style="dim",
        markup=False,
    )


@reading.command()
def report(
    run: RunArgument,
    audio_mb: Annotated[
        float, typer.Option(min=0, help="Most megabytes of audio and spectrograms in the page.")
    ] = 12.0,
    rows: Annotated[int, typer.Option(min=0, help="Most rows in the table of utterances.")] = 2000,
) -> None:
    """Write report.html and report.md into the folder of a run.

    report.html is one file and needs no network.
    """
    from melmoat.report.page import Options, write_report

    page, text, left_out = write_report(run, Options(audio_mb, rows))
    size = page.stat().st_size / 1e6
    typer.echo(f"{page} ({size:.1f} MB)\n{text}")
    if left_out:
        typer.echo(f"audio of {left_out} utterances did not fit; --audio-mb makes room")

"""``melmoat evaluate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from melmoat.cli.options import DeviceOption, SeedOption

evaluating = typer.Typer()

QUICK = 8  # utterances of a first look


@evaluating.command()
def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Option(help="Recognizer. `melmoat list` shows all.")] = "ds2-an4",
    defense: Annotated[str, typer.Option(help="Defense, such as rs:snr=15.")] = "none",
    data: Annotated[str, typer.Option(help="Corpus, such as an4:PATH.")] = "demo",
    effort: Annotated[
        Literal["full", "quick"],
        typer.Option(
            help="full: hours for 40 utterances, days if the defense draws noise and votes. quick: "
            "a first look in minutes, not for publication. --dry-run tells of your machine."
        ),
    ] = "full",
    limit: Annotated[
        int | None,
        typer.Option(min=0, help="Utterances (0 = all). Default: all, or 8 for quick."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for results. Default: in melmoat-standard, by the parts."),
    ] = None,
    seed: SeedOption = 0,
    batch: Annotated[int, typer.Option(min=1, help="Utterances in a batch.")] = 8,
    seconds: Annotated[
        float,
        typer.Option(min=0, help="Most seconds of audio in a batch, with padding (0 = no limit)."),
    ] = 0,
    executor: Annotated[
        str, typer.Option(help="Where to work: here, processes:workers=2, or ray:address=auto.")
    ] = "here",
    device: DeviceOption = "cpu",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Measure nothing. Print how long it may take."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Attack a system with the standard ensemble.

    The worst case of each utterance counts. The result is a table, a verdict and standard.json.
    The same command continues a run that was stopped.

    Exit code 0: no sign of a false sense of security. 3: the figures are suspect. 4: evidence is
    missing or too thin, or utterances failed without an attack.
    """
    from melmoat import standard
    from melmoat.analysis.results import as_json
    from melmoat.cli.errors import refuse_idle, resumable
    from melmoat.cli.progress import reported
    from melmoat.standard.figures import CLEAN
    from melmoat.standard.verdict import exit_code

    home = out or Path("melmoat-standard") / standard.folder_of(model, defense, data, effort)
    if limit is None:
        limit = QUICK if effort == "quick" else 0
    if dry_run:
        refuse_idle(context, ["out", "executor", "json"], "do nothing with --dry-run")
        with reported("evaluate") as progress:
            plan = standard.forecast(
                model,
                defense,
                data,
                effort=effort,
                limit=limit,
                seed=seed,
                batch=batch,
                seconds=seconds,
                device=device,
                progress=progress,
            )
        typer.echo(standard.plan_text(plan), nl=False)
        return
    with resumable("finished rows are", home), reported("evaluate") as progress:
        result = standard.evaluate(
            model,
            defense,
            data,
            home,
            effort=effort,
            limit=limit,
            seed=seed,
            batch=batch,
            seconds=seconds,
            executor=executor,
            device=device,
            progress=progress,
        )
    if json:
        typer.echo(as_json(result.as_dict()))
    else:
        typer.echo(standard.text(result, str(home)), nl=False)
        typer.echo(f"everything: {home / standard.FILE}")
    incomplete = exit_code("incomplete") if CLEAN in result.failures else 0
    raise typer.Exit(exit_code(result.verdict) or incomplete)

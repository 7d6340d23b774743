"""The command that tries a part."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from melmoat.cli.options import ModelOption

checks = typer.Typer()


@checks.command()
def check(
    spec: Annotated[
        str, typer.Argument(help="Part to check, such as python:MODULE:FACTORY or rs:snr=15.")
    ],
    kind: Annotated[
        Literal["model", "defense", "attack"] | None,
        typer.Option(help="What the part is. Default: found out."),
    ] = None,
    model: ModelOption = "ds2-an4",
) -> None:
    """Check a recognizer, a defense or an attack, such as your own.

    It hears two utterances of the speech that ships. Each line says what is right or what is wrong.
    The exit code is 1 if anything is wrong. --model is what a defense or an attack is tried on.
    """
    from melmoat.checking import each_check

    wrong = 0
    for line in each_check(spec, kind, model):
        typer.echo(f"{line.status:5}  {line.check}: {line.text}")
        wrong += line.status == "wrong"
    if wrong:
        typer.echo(f"{wrong} wrong", err=True)
        raise typer.Exit(1)

"""``melmoat certify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from melmoat.cli.options import DeviceOption, ModelOption, SecretOption

certifying = typer.Typer()


@certifying.command()
def certify(
    sigma: Annotated[float, typer.Option(help="Standard deviation of the noise; full scale is 1.")],
    out: Annotated[
        Path, typer.Option(help="Folder for results. If the run is there already, it continues.")
    ],
    model: ModelOption = "ds2-an4",
    defense: Annotated[
        str, typer.Option(help="Part behind the noise, such as a denoiser.")
    ] = "none",
    data: Annotated[str, typer.Option(help="Corpus.")] = "demo",
    draws: Annotated[int, typer.Option(min=1, help="Noisy passes that certify.")] = 1000,
    center_draws: Annotated[
        int,
        typer.Option(
            min=0,
            help="Noisy passes that choose a center, and as many that check it (0 = --draws).",
        ),
    ] = 0,
    confidence: Annotated[
        float, typer.Option(help="Confidence of the whole table, percent.")
    ] = 99.9,
    delta: Annotated[
        float, typer.Option(help="Slack of center smoothing, below 0.5 (0 = from the draws).")
    ] = 0.0,
    limit: Annotated[int, typer.Option(min=0, help="Utterances (0 = all).")] = 0,
    choose: Annotated[
        Literal["shuffled", "spread"], typer.Option(help="Which utterances --limit takes.")
    ] = "shuffled",
    batch: Annotated[int, typer.Option(min=1, help="Noisy passes in a batch.")] = 32,
    seed: SecretOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Certify transcripts under perturbations of bounded l2.

    No attack can break the bound, but for the stated confidence. It is one of
    two smoothed systems, not of a single pass.
    """
    from rich.console import Console

    from melmoat.certificates import certify as measure
    from melmoat.cli.errors import resumable
    from melmoat.cli.progress import reported
    from melmoat.errors import MelmoatError
    from melmoat.report.certified import certified, curve

    with resumable("finished utterances are", out), reported("certify") as progress:
        found = measure(
            model,
            defense,
            data,
            out=out,
            sigma=sigma,
            draws=draws,
            center_draws=center_draws,
            confidence=confidence,
            delta=delta,
            limit=limit,
            choose=choose,
            seed=seed,
            batch=batch,
            device=device,
            progress=progress,
        )
    Console().print(certified(found))
    try:
        curve(out / "certified.png", found)
        typer.echo(f"curve: {out / 'certified.png'}")
    except MelmoatError as error:  # the extra is missing; the table is there
        typer.echo(f"no curve: {error}")
    typer.echo(f"certificates, counts and settings: {out}")
    if found.failures:
        reasons = "\n".join(
            why if why.startswith(name) else f"{name}: {why}"  # errors of files begin with them
            for name, why in found.failures.items()
        )
        raise MelmoatError(
            f"{len(found.failures)} utterance(s) failed and count as wrong; the same command tries "
            f"them again:\n{reasons}"
        )

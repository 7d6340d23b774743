"""``melmoat detect``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from melmoat.cli.errors import chosen_channel, refuse_idle
from melmoat.cli.options import (
    ChannelOption,
    DefenseOption,
    DeviceOption,
    ModelOption,
    SecretOption,
)

detecting = typer.Typer()


@detecting.command()
def detect(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(help="Audio files or folders.")],
    detector: Annotated[
        str, typer.Option(help="Detector. `melmoat list` shows all.")
    ] = "disagreement:lpc:noise=0.5",
    model: ModelOption = "ds2-an4",
    defense: DefenseOption = "none",
    threshold: Annotated[
        float | None, typer.Option(help="Recordings with a higher score are suspect.")
    ] = None,
    calibrate: Annotated[
        list[Path],
        typer.Option(
            help="Files or folders that nobody attacked; they set the threshold. May be repeated."
        ),
    ] = [],  # noqa: B006
    false_alarms: Annotated[
        float, typer.Option(help="Share of these that may be suspect, percent.")
    ] = 5.0,
    channel: ChannelOption = "mix",
    seed: SecretOption = None,
    device: DeviceOption = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Score how suspect recordings are, and name the suspects.

    Larger scores are more suspect. --threshold, or recordings that nobody attacked (--calibrate),
    say from where on. Without either there are scores alone.

    A detector that draws noise draws fresh noise at each call; predictable noise is no defense.

    A file that fails is named, and the others are scored. The exit code is then 1. Suspects do not
    change it.
    """
    from melmoat import defenses, detectors, models
    from melmoat.analysis.results import as_json
    from melmoat.cli.progress import bar
    from melmoat.data.folders import find, shown, utf8
    from melmoat.detectors.files import score_files
    from melmoat.devices import usable
    from melmoat.draws import secret
    from melmoat.errors import MelmoatError
    from melmoat.file_jobs import failure_line
    from melmoat.metrics import detection

    if threshold is not None and calibrate:
        raise MelmoatError("--threshold and --calibrate both set the threshold: give one")
    if threshold is not None and not math.isfinite(threshold):
        raise MelmoatError("--threshold must be a finite number")
    if not 0 <= false_alarms < 100:
        raise MelmoatError("--false-alarms must be at least 0 and below 100 percent")
    if not calibrate:
        refuse_idle(context, ["false_alarms"], "needs --calibrate")
    made, chosen = detectors.build(detector), chosen_channel(channel)
    system = defenses.build(defense).wrap(models.load(model))
    usable(device)
    seed = secret() if seed is None else seed
    count = sum(len(find(path).files) for path in [*calibrate, *paths])
    with bar("detect", count) as tick:
        parts = [
            score_files(made, system, some, seed, chosen, device, lambda: tick(1))
            for some in (calibrate, paths)
        ]
    benign, scored = parts
    failed = [failure_line(path, why) for one in parts for path, why in one.failed.items()]
    if calibrate and not benign.failed and benign.scores:
        threshold = detection.threshold(list(benign.scores.values()), false_alarms / 100)
    elif calibrate:
        failed.append("no threshold: some of --calibrate cannot be used; leave those out")
    if json:
        lines = [
            {"file": utf8(file), "score": found, "suspect": _suspect(found, threshold)}
            for file, found in scored.scores.items()
        ]
        lost = {utf8(path): why for one in parts for path, why in one.failed.items()}
        told = {"detector": detector, "threshold": threshold, "files": lines, "failed": lost}
        typer.echo(as_json(told))
    else:
        for file, found in scored.scores.items():
            verdict = {True: "\tsuspect", False: "\tnot suspect", None: ""}
            typer.echo(f"{shown(file)}\t{found:.4f}{verdict[_suspect(found, threshold)]}")
    if calibrate and threshold is not None:
        count = len(benign.scores)
        typer.echo(f"threshold {threshold!r}, from {count} recordings", err=True)
        if not detection.resolves(count, false_alarms / 100):
            typer.echo(
                f"warning: {count} recordings cannot show a rate of {false_alarms:g} %; this is "
                "their largest score, and the true rate may be far higher",
                err=True,
            )
    for line in [*(f"error: {line}" for line in failed), *benign.passed, *scored.passed]:
        typer.echo(line, err=True)
    if failed or not scored.scores:
        typer.echo(f"{len(scored.scores)} scored, {len(failed)} failed", err=True)
        raise typer.Exit(1)


def _suspect(found: float, threshold: float | None) -> bool | None:
    return None if threshold is None else found > threshold

"""Commands on many files: each is done or named, and none ends the work on the others."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from melmoat.cli.errors import chosen_channel
from melmoat.cli.options import (
    ChannelOption,
    DefenseOption,
    DeviceOption,
    ModelOption,
    SecretOption,
)

files = typer.Typer()


@files.command()
def transcribe(
    paths: Annotated[list[Path], typer.Argument(help="Audio files or folders.")],
    model: ModelOption = "ds2-an4",
    defense: DefenseOption = "none",
    channel: ChannelOption = "mix",
    seed: SecretOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Print what a recognizer hears in each file.

    A defense draws fresh noise at each call; predictable noise is no defense.

    A file that fails is named, and the others are transcribed. The exit code is then 1. In a
    folder, files with an audio suffix count, and files without a suffix that hold audio. All other
    files are named at the end. They are no failure.
    """
    from collections import Counter

    from melmoat import audio, defenses, models
    from melmoat.data.folders import find, passed_over, shown, utf8
    from melmoat.devices import usable
    from melmoat.draws import Draws, derive, secret
    from melmoat.errors import spared
    from melmoat.file_jobs import named
    from melmoat.models.base import transcribe

    seed, chosen = secret() if seed is None else seed, chosen_channel(channel)
    system = defenses.build(defense).wrap(models.load(model))
    usable(device)
    found = [find(path) for path in paths]
    failed = [named(path, why) for one in found for path, why in one.failed.items()]
    sources = [file for one in found for file in one.files]
    for line in failed:
        typer.echo(f"error: {line}", err=True)
    met: Counter[str] = Counter()  # files of one name, in several folders, draw for themselves
    for file in sources:
        name = utf8(file.name)
        again, met[name] = met[name], met[name] + 1
        draws = Draws([derive(seed, name, *([again] if again else []))])
        why: list[str] = []
        texts: list[str] = []
        with spared(why.append):
            texts = transcribe(system, audio.load(file, system.rate, chosen).to(device), draws)
        for text in texts:
            typer.echo(text if len(sources) == 1 else f"{shown(file)}\t{text}")
        for reason in why:
            failed.append(named(file, reason))
            typer.echo(f"error: {failed[-1]}", err=True)
    for line in passed_over(found):
        typer.echo(line, err=True)
    if failed or not sources:
        if len(found) == len(failed) == 1:  # all is said
            raise typer.Exit(1)
        heard_well = len(sources) + sum(len(one.failed) for one in found) - len(failed)
        typer.echo(f"{heard_well} transcribed, {len(failed)} failed", err=True)
        raise typer.Exit(1)


@files.command()
def defend(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE... TARGET",
            help="Audio files or folders, then the file or folder to write.",
        ),
    ],
    defense: DefenseOption,
    channel: ChannelOption = "mix",
    seed: SecretOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Pass audio through a defense and write the result (16 kHz mono).

    One file becomes a .wav or .flac file. Several files, or folders, go into a folder.

    Each call draws fresh noise; predictable noise is no defense.

    A file that fails is named, and the others are written. The exit code is then 1. In a folder,
    files with an audio suffix count, and files without a suffix that hold audio. All other files
    are named at the end. They are no failure.
    """
    from melmoat import defenses
    from melmoat.cli.progress import bar
    from melmoat.data.folders import find, passed_over
    from melmoat.devices import usable
    from melmoat.errors import MelmoatError
    from melmoat.file_jobs import defend_files, jobs, named
    from melmoat.memory import keep_freed_memory

    *sources, target = paths
    if not sources:
        raise MelmoatError("defend takes one or more sources and then a target")
    chosen = chosen_channel(channel)
    found = [find(source) for source in sources]
    todo = jobs(sources, target, found)
    front = defenses.front_end(defense)
    usable(device)
    keep_freed_memory()
    with bar("defend", len(todo)) as tick:
        passed = defend_files(front, todo, seed, lambda: tick(1), device, chosen)
    failed = [named(path, why) for one in found for path, why in one.failed.items()]
    failed += passed.failed
    for line in [*failed, *passed_over(found)]:
        typer.echo(line, err=True)
    if passed.files:
        what = f"{target}: {passed.files} files, " if len(todo) > 1 else f"{target}: "
        factor = passed.real_time_factor
        typer.echo(f"{what}{passed.seconds:.2f} s, real-time factor {factor:.3f}")
    if failed:
        typer.echo(f"{len(failed)} of {passed.files + len(failed)} failed", err=True)
        raise typer.Exit(1)

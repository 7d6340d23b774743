"""Commands on many files: each is done or named, and none ends the work on the others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from melmoat.cli.errors import chosen_channel, writing_files
from melmoat.cli.options import (
    ChannelOption,
    DefenseOption,
    DeviceOption,
    ModelOption,
    SecretOption,
    SeedOption,
)

if TYPE_CHECKING:
    from melmoat.models import Recognizer

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
    from melmoat.file_jobs import failure_line
    from melmoat.models.base import transcribe
    from melmoat.models.domain import unlike

    seed, chosen = secret() if seed is None else seed, chosen_channel(channel)
    recognizer = models.load(model)
    system = defenses.build(defense).wrap(recognizer)
    usable(device)
    found = [find(path) for path in paths]
    failed = [failure_line(path, why) for one in found for path, why in one.failed.items()]
    sources = [file for one in found for file in one.files]
    empty = [] if sources else [path for path in paths if path.is_dir()]
    for line in [*failed, *(f"{shown(path)}: no audio files in it" for path in empty)]:
        typer.echo(f"error: {line}", err=True)
    strange: list[str] = []
    met: Counter[str] = Counter()  # files of one name, in several folders, draw for themselves
    for file in sources:
        name = utf8(file.name)
        again, met[name] = met[name], met[name] + 1
        draws = Draws([derive(seed, name, *([again] if again else []))])
        why: list[str] = []
        texts: list[str] = []
        with spared(why.append):
            speech = audio.load(file, system.rate, chosen).to(device)
            texts = transcribe(system, speech, draws)
            strange += [shown(file)] * unlike(recognizer, speech)[0]
        for text in texts:
            typer.echo(text if len(sources) == 1 else f"{shown(file)}\t{text}")
        for reason in why:
            failed.append(failure_line(file, reason))
            typer.echo(f"error: {failed[-1]}", err=True)
    _warn_of(strange, len(sources), model, recognizer)
    for line in passed_over(found):
        typer.echo(line, err=True)
    if failed or not sources:
        if len(found) == len(failed) == 1:  # all is said
            raise typer.Exit(1)
        heard_well = len(sources) + sum(len(one.failed) for one in found) - len(failed)
        typer.echo(f"{heard_well} transcribed, {len(failed)} failed", err=True)
        raise typer.Exit(1)


def _warn_of(strange: list[str], of: int, name: str, recognizer: Recognizer) -> None:
    """Say on standard error, once, that recordings are unlike what a recognizer knows."""
    from melmoat.models.domain import domain_of, warning

    domain = domain_of(recognizer)
    if strange and domain is not None:
        typer.echo(f"warning: {warning(name, domain, strange, of)}", err=True)


@files.command()
def attack(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE... TARGET",
            help="Audio files or folders, then the file or folder to write.",
        ),
    ],
    attack: Annotated[
        str, typer.Option(help="Attack. `melmoat list` shows all.")
    ] = "pgd:norm=snr,db=30,steps=50",
    model: ModelOption = "ds2-an4",
    defense: DefenseOption = "none",
    text: Annotated[
        str | None, typer.Option(help="What is said in the file. Needed for against=truth.")
    ] = None,
    channel: ChannelOption = "mix",
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Attack audio files and write the adversarial ones.

    One file becomes a .wav or .flac file. Several files, or folders, go into a folder, with
    manifest.jsonl: an object a line of what was written. With --defense, the attack is aimed at the
    recognizer behind it.

    A file that fails is named, and the others are written. The exit code is then 1.
    """
    from melmoat import attacks, defenses, models
    from melmoat.cli.progress import bar
    from melmoat.data.folders import find, passed_over, shown
    from melmoat.devices import usable
    from melmoat.errors import MelmoatError
    from melmoat.file_attacks import attack_file, attack_files
    from melmoat.file_jobs import failure_line, jobs

    *sources, target = paths
    if not sources:
        raise MelmoatError("attack takes one or more sources and then a target")
    made = attacks.build(attack)
    if getattr(made, "against", None) == "truth" and text is None:
        raise MelmoatError("against=truth needs --text, what is said in the file")
    if getattr(made, "against", None) == "benign" and text is not None:
        raise MelmoatError("--text is for against=truth, which --attack does not have")
    chosen = chosen_channel(channel)
    found = [find(source) for source in sources]
    todo = jobs(sources, target, found)
    single = len(todo) == 1 and todo[0].target == target
    if text is not None and not single:
        raise MelmoatError("--text says what is said in one file; attack that one by itself")
    recognizer = models.load(model)
    system = defenses.build(defense).wrap(recognizer)
    usable(device)
    told = {"model": model, "defense": defense, "attack": attack, "seed": seed}
    problems: list[str] = []
    with writing_files(target, single), bar("attack", made.evaluations * len(todo)) as tick:
        if single:
            job = todo[0]
            written = [attack_file(system, recognizer, made, job, seed, text, tick, device, chosen)]
        else:
            written, problems = attack_files(
                system, recognizer, made, todo, seed, tick, device, chosen, target, told
            )
    for one in written:
        if single:
            typer.echo(f"before: {one.before}\nafter:  {one.after}")
            typer.echo(f"goal {one.size}, {one.seconds:.1f} s; wrote {target}")
        else:
            typer.echo(f"{shown(one.target)}\t{one.size}\t{one.before}\t{one.after}")
    _warn_of([shown(w.source) for w in written if w.unlike], len(todo), model, recognizer)
    failed = [
        failure_line(path, why) for one in found for path, why in one.failed.items()
    ] + problems
    for line in [*(f"error: {line}" for line in failed), *passed_over(found)]:
        typer.echo(line, err=True)
    if not single and written:
        reached = sum(one.reached for one in written)
        typer.echo(f"{target}: {len(written)} files, goal reached in {reached}; manifest.jsonl")
    if failed:
        typer.echo(f"{len(failed)} of {len(written) + len(failed)} failed", err=True)
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
    """Pass audio through a defense (writes 16 kHz mono).

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
    from melmoat.file_jobs import defend_files, failure_line, jobs
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
    single = len(todo) == 1 and todo[0].target == target
    with writing_files(target, single), bar("defend", len(todo)) as tick:
        passed = defend_files(front, todo, seed, lambda: tick(1), device, chosen)
    failed = [failure_line(path, why) for one in found for path, why in one.failed.items()]
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

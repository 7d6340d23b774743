"""All commands. Heavy imports are inside them, so that ``melmoat --help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from melmoat.cli.train import train

if TYPE_CHECKING:
    from melmoat.bench.cell import Cell

app = typer.Typer(
    help="Attack, defend and measure automatic speech recognition.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(train, name="train")

ModelOption = Annotated[str, typer.Option(help="Recognizer spec; `melmoat list` shows them.")]
DefenseOption = Annotated[str, typer.Option(help="Defense spec, such as rs:snr=15,votes=5.")]
SeedOption = Annotated[int, typer.Option(help="Seed of every random draw.")]


@app.command("list")
def list_parts() -> None:
    """Show every model, defense, attack and corpus with its options and defaults."""
    from melmoat.attacks import ATTACKS
    from melmoat.data import CORPORA
    from melmoat.defenses import DEFENSES
    from melmoat.models import MODELS
    from melmoat.vocoders import VOCODERS

    for family in (MODELS, VOCODERS, DEFENSES, ATTACKS, CORPORA):
        typer.secho(family.kind, bold=True)
        for name in sorted(family.table):
            typer.echo(f"  {family.usage(name)}")


@app.command()
def data(
    spec: Annotated[str | None, typer.Argument(help="Corpus spec, such as an4:PATH.")] = None,
    download: Annotated[
        bool, typer.Option(help="Fetch it first (librispeech:DIR/LibriSpeech/PART only).")
    ] = False,
) -> None:
    """List the known corpora, or describe one."""
    from melmoat.data import describe, fetch

    if spec and download:
        fetch(spec)
    typer.echo(describe(spec))


@app.command()
def transcribe(
    files: Annotated[list[Path], typer.Argument(help="Audio files.")],
    model: ModelOption = "ds2-an4",
    defense: DefenseOption = "none",
    seed: SeedOption = 0,
) -> None:
    """Print what a recognizer hears in each file."""
    from melmoat import audio, defenses, models
    from melmoat.draws import Draws, derive

    system = defenses.build(defense).wrap(models.load(model))
    for file in files:
        (text,) = system.transcribe(audio.load(file, system.rate), Draws([derive(seed, file.name)]))
        typer.echo(text if len(files) == 1 else f"{file}\t{text}")


@app.command()
def defend(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE... TARGET", help="Files or folders, then where to write."),
    ],
    defense: DefenseOption,
    seed: SeedOption = 0,
) -> None:
    """Pass audio through a defense and write what the recognizer would hear (16 kHz mono).

    One file goes to a .wav or .flac file; several files, or folders, go into a folder.
    """
    from melmoat import defenses
    from melmoat.cli.progress import bar
    from melmoat.defenses.files import defend_files, jobs
    from melmoat.errors import MelmoatError

    *sources, target = paths
    if not sources:
        raise MelmoatError("defend takes one or more sources and then a target")
    files = jobs(sources, target)
    front = defenses.front_end(defense)
    with bar("defend", len(files)) as tick:
        passed = defend_files(front, files, seed, lambda: tick(1))
    for reason in passed.failed:
        typer.echo(reason, err=True)
    if passed.files:
        what = f"{target}: {passed.files} files, " if len(files) > 1 else f"{target}: "
        factor = passed.real_time_factor
        typer.echo(f"{what}{passed.seconds:.2f} s, real-time factor {factor:.3f}")
    if passed.failed:
        raise typer.Exit(1)


@app.command()
def attack(
    source: Annotated[Path, typer.Argument(help="Audio file.")],
    target: Annotated[Path, typer.Argument(help="Where to write (.wav or .flac).")],
    attack: Annotated[str, typer.Option(help="Attack spec.")] = "pgd:norm=snr,db=30,steps=50",
    model: ModelOption = "ds2-an4",
    defense: DefenseOption = "none",
    text: Annotated[str | None, typer.Option(help="What is said, for against=truth.")] = None,
    seed: SeedOption = 0,
) -> None:
    """Attack one file; the defense, if any, is part of what is attacked."""
    from melmoat import attacks, audio, defenses, models
    from melmoat.bench.runner import judge
    from melmoat.cli.progress import bar
    from melmoat.draws import Draws, derive
    from melmoat.errors import MelmoatError
    from melmoat.metrics.distortion import snr_db
    from melmoat.text import normalise

    made = attacks.build(attack)
    if getattr(made, "against", None) == "truth" and text is None:
        raise MelmoatError("against=truth needs --text, what is said in the file")
    system = defenses.build(defense).wrap(models.load(model))
    audio.check_target(target)
    clean = audio.load(source, system.rate)
    draws = Draws([derive(seed, source.name)])
    with bar("attack", made.evaluations) as tick:
        out = judge(system, clean, made, [normalise(text or "")], draws, lambda: tick(1))
    audio.save(target, out.adversarial)
    typer.echo(f"before: {out.benign[0]}\nafter:  {out.transcripts[0]}")
    reached = "reached" if out.reached[0] else "not reached"
    snr = float(snr_db(out.clean, out.adversarial))
    typer.echo(f"goal {reached}, SNR {snr:.1f} dB, {out.seconds:.1f} s; wrote {target}")


@app.command()
def bench(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same folder continues it.")],
    model: Annotated[list[str], typer.Option(help="Recognizer specs.")] = ["ds2-an4"],  # noqa: B006
    data: Annotated[list[str], typer.Option(help="Corpus specs.")] = ["demo"],  # noqa: B006
    defense: Annotated[list[str], typer.Option(help="Defense specs.")] = ["none"],  # noqa: B006
    attack: Annotated[list[str], typer.Option(help="Attack specs.")] = ["none"],  # noqa: B006
    limit: Annotated[int, typer.Option(min=0, help="Utterances a corpus; 0 for all.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Utterances attacked together.")] = 8,
    seconds: Annotated[
        float, typer.Option(min=0, help="Most audio of a batch, padding included; 0: no bound.")
    ] = 0,
    seed: SeedOption = 0,
    save_audio: Annotated[bool, typer.Option(help="Keep the audio as FLAC.")] = False,
) -> None:
    """Measure every model x defense x attack on a corpus. Options may be given several times."""
    from melmoat.bench.cell import grid

    run_cells(grid(model, defense, attack, data, seed), out, batch, limit, save_audio, seconds)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("melmoat-demo"),
) -> None:
    """The main job on what ships: a recognizer, attacked, defended, measured. Under two minutes."""
    from melmoat.bench.demo import UTTERANCES, cells, story
    from melmoat.errors import MelmoatError
    from melmoat.report.plots import kept_audio

    asked = cells()
    summary = run_cells(asked, out, batch=UTTERANCES, limit=UTTERANCES, save_audio=True)
    typer.echo(story(summary, out))
    try:
        kept_audio(out / "spectrograms.png", out / "audio" / asked[-1].key)
        typer.echo(f"{out / 'spectrograms.png'}: clean, adversarial and defended speech")
    except MelmoatError as error:  # a figure is worth no failure
        typer.echo(f"no figure: {error}")


def run_cells(
    cells: list[Cell], out: Path, batch: int, limit: int, save_audio: bool, seconds: float = 0
) -> list[dict[str, object]]:
    """Run cells into a folder under a progress bar, print the tables, return the summary.

    Raises:
        StoreError: utterances failed; the others were measured.
    """
    from rich.console import Console

    from melmoat.bench.runner import Runner
    from melmoat.bench.store import Store
    from melmoat.cli.endings import resumable
    from melmoat.cli.progress import bar
    from melmoat.report.tables import robustness

    store = Store(out)
    runner = Runner(store, batch, limit, save_audio, seconds)
    total = sum(len(runner.cuts(cell)) for cell in cells)
    asked = {"batch": batch, "limit": limit, "save_audio": save_audio, "seconds": seconds}
    store.begin(cells, asked)
    with resumable("finished rows are", out), bar("bench", total) as tick:
        runner.run(cells, lambda cell, n: tick(n, f"{cell.defense} / {cell.attack}"))
    keys = {cell.key for cell in cells}
    summary = [cell for cell in store.summarise() if cell["key"] in keys]
    console = Console()
    for table in robustness(summary):
        console.print(table)
    console.print(f"rows, summary and settings: {out}", soft_wrap=True)
    store.require_whole(cells)
    return summary

"""``melmoat train``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from melmoat.cli.errors import refuse_idle, resumable
from melmoat.cli.options import DeviceOption

train = typer.Typer(help="Train recognizers, vocoders and other parts.", no_args_is_help=True)


OutOption = Annotated[
    Path, typer.Option(help="Folder for results. If the run is there already, it continues.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of all random draws.")]


@train.callback()
def _group() -> None:
    """Train recognizers, vocoders and other parts."""


@train.command()
def asr(
    context: typer.Context,
    out: OutOption,
    data: Annotated[list[str], typer.Option(help="Corpus to train on. May be repeated.")],
    extra: Annotated[
        list[str], typer.Option(help="Corpus of which each epoch draws a share. May be repeated.")
    ] = [],  # noqa: B006
    extra_share: Annotated[
        float, typer.Option(min=0, help="Extra utterances per utterance of --data, in each epoch.")
    ] = 0.5,
    held_out: Annotated[int, typer.Option(min=0, help="Speakers kept for validation.")] = 6,
    hidden: Annotated[int, typer.Option(min=1, help="Width of the recurrent layers.")] = 320,
    layers: Annotated[int, typer.Option(min=1, help="Number of recurrent layers.")] = 3,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the convolutions.")] = 16,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over --data.")] = 60,
    batch: Annotated[int, typer.Option(min=1, help="Utterances per step.")] = 16,
    lr: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Peak learning rate. Default: 1e-3; hf-ctc 3e-5, hama 1e-4, hama-letters 5e-4.",
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Write 16-bit weights (not of hf-ctc).")
    ] = False,
    start: Annotated[
        str | None,
        typer.Option("--start", "--model", help="Recognizer to start from, such as hf-ctc:NAME."),
    ] = None,
    defense: Annotated[
        str | None,
        typer.Option(help="Defense to fine-tune for, such as resynth."),
    ] = None,
    defended: Annotated[
        float, typer.Option(min=0, max=1, help="Share of utterances that pass through --defense.")
    ] = 0.7,
    attack: Annotated[
        str | None,
        typer.Option(help="Attack to train against, such as pgd:db=23,steps=4."),
    ] = None,
    attacked: Annotated[
        float, typer.Option(min=0, max=1, help="Share of examples that --attack attacks.")
    ] = 1.0,
    fade: Annotated[
        float,
        typer.Option(min=0, help="Scale each perturbation of --attack down by 0 to so many dB."),
    ] = 0.0,
    noise: Annotated[
        float, typer.Option(min=0, max=1, help="Probability that an utterance gets white noise.")
    ] = 0.5,
    loudest: Annotated[float, typer.Option(help="SNR of the loudest such noise, in dB.")] = 10,
    faintest: Annotated[float, typer.Option(help="SNR of the faintest such noise, in dB.")] = 45,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Recognizer to learn from what it hears without noise, attack and defense."
        ),
    ] = None,
    teach: Annotated[float, typer.Option(min=0, help="Weight of the loss of --teacher.")] = 1.0,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train a DeepSpeech2, or fine-tune a recognizer.

    The same command continues a run that was stopped.
    """
    from melmoat.cli.progress import reported
    from melmoat.models.deepspeech2 import DeepSpeech2Config
    from melmoat.training.asr import Recipe, train_asr
    from melmoat.training.trainable import peak_rate, spec_of

    if defense is None:
        refuse_idle(context, ["defended"], "needs --defense")
    if not extra:
        refuse_idle(context, ["extra_share"], "needs --extra")
    if attack is None:
        refuse_idle(context, ["attacked", "fade"], "needs --attack")
    if teacher is None:
        refuse_idle(context, ["teach"], "needs --teacher")
    if start is not None:
        refuse_idle(context, ["hidden", "layers", "channels"], "are those of --start")
    config = DeepSpeech2Config(hidden=hidden, layers=layers, channels=channels)
    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        lr=peak_rate(start) if lr is None else lr,
        extra=extra_share,
        noise=noise,
        loudest=loudest,
        faintest=faintest,
        defended=defended,
        teach=teach,
        seed=seed,
    )
    with resumable("the state is", out), reported("train") as progress:
        path, card = train_asr(
            out,
            data,
            extra,
            held_out,
            config,
            recipe,
            half,
            start=start,
            defense=defense,
            device=device,
            attack=attack,
            attacked=attacked,
            fade=fade,
            teacher=teacher,
            progress=progress,
        )
    wer, left = card["held_out_wer"], card["left_out"]
    spec = spec_of(path)
    rate = "CER" if card.get("held_out_unit") == "chars" else "WER"
    if spec.startswith("hama:"):  # which is validated by its phonemes
        rate = "PER"
    score = "" if wer is None else f"; greedy {rate} on held-out speakers {wer:.2f} %"
    if (under := card.get("held_out_attacked_wer")) is not None:
        score += f", attacked {under:.2f} %"
    few = f"; {left} utterance(s) left out: too short for their texts" if left else ""
    typer.echo(f"wrote {path}{score}{few}{_skipped(card)}. Use it as {spec}")


def _skipped(told: Mapping[str, Any]) -> str:
    """How many steps were lost, if any."""
    lost = told.get("skipped_steps")
    return f"; {lost:.0f} step(s) had no finite gradient and were skipped" if lost else ""


@train.command()
def vocoder(
    out: OutOption,
    data: Annotated[
        list[str],
        typer.Option(help="Corpus to learn from. Its texts are not used. May be repeated."),
    ],
    architecture: Annotated[
        str, typer.Option(help="Network to train: melgan-lab or pwg-lab.")
    ] = "melgan-lab",
    held_out: Annotated[int, typer.Option(min=0, help="Speakers kept for validation.")] = 4,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps. Default: those of the recipe.")
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(min=0, help="Steps without the discriminator. Default: the recipe's share."),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Crops per step. Default: the recipe's.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(min=0, help="Peak learning rate of the generator. Default: the recipe's."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Vocoder to start from, such as trained:PATH.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train a small vocoder.

    The same command continues a run that was stopped.
    """
    from dataclasses import replace

    from melmoat.cli.progress import reported
    from melmoat.errors import MelmoatError
    from melmoat.training.vocoder_setups import SETUPS, train_vocoder

    if architecture not in SETUPS:
        raise MelmoatError(f"unknown architecture {architecture!r}; known: {', '.join(SETUPS)}")
    recipe = SETUPS[architecture].recipe
    if steps is not None and warmup is None:  # the same share of a shorter or longer run
        warmup = round(steps * recipe.warmup / recipe.steps)
    given: dict[str, Any] = {
        "steps": steps,
        "warmup": warmup,
        "batch": batch,
        "lr": lr,
        "seed": seed,
    }
    recipe = replace(recipe, **{k: v for k, v in given.items() if v is not None})
    with resumable("the state is", out), reported("train") as progress:
        path, scores = train_vocoder(
            out, data, held_out, architecture, recipe, start, device, progress
        )
    told = {name: value for name, value in scores.items() if name != "skipped_steps"}
    found = "".join(f"; {name} {value:.3f}" for name, value in told.items())
    typer.echo(f"wrote {path}{found}{_skipped(scores)}. Use it as trained:{path}")


@train.command()
def diffusion(
    out: OutOption,
    data: Annotated[
        list[str],
        typer.Option(help="Corpus to learn from. Its texts are not used. May be repeated."),
    ],
    held_out: Annotated[int, typer.Option(min=0, help="Speakers kept for validation.")] = 4,
    steps: Annotated[int, typer.Option(min=1, help="Steps of the optimiser.")] = 3_000,
    batch: Annotated[int, typer.Option(min=1, help="Crops of 1.5 s per step.")] = 8,
    lr: Annotated[float, typer.Option(min=0, help="Peak learning rate.")] = 2e-3,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train the denoiser of diffusion purification.

    The same command continues a run that was stopped.
    """
    from melmoat.cli.progress import reported
    from melmoat.training.diffusion import DiffusionRecipe, train_diffusion

    recipe = DiffusionRecipe(steps=steps, batch=batch, lr=lr, seed=seed)
    with resumable("the state is", out), reported("train") as progress:
        path, scores = train_diffusion(out, data, held_out, recipe, None, device, progress)
    gains = [f"{v:.1f} dB at {k[14:-2]} dB" for k, v in scores.items() if "gain" in k]
    found = f"; the SNR of held-out speech rises by {', '.join(gains)}" if gains else ""
    typer.echo(f"wrote {path}{found}{_skipped(scores)}. Use it as diffusion:weights={path}")


@train.command()
def shaping(
    out: Annotated[Path, typer.Option(help="File to write (.json).")],
    data: Annotated[str, typer.Option(help="Corpus to attack. Do not use your test data.")],
    model: Annotated[str, typer.Option(help="Recognizer to attack.")] = "ds2-an4",
    attack: Annotated[str, typer.Option(help="Attack to measure.")] = "pgd:norm=snr,db=20,steps=50",
    mel: Annotated[str, typer.Option(help="Vocoder whose mel bands are used.")] = "griffin-lim",
    linear: Annotated[
        bool, typer.Option("--linear", help="Compare mel magnitudes instead of their logarithms.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Most utterances to attack.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Utterances in a batch.")] = 8,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Measure at which frequencies an attack acts.

    The curve is for mdnf:shaping=FILE.
    """
    from melmoat import data as corpora
    from melmoat import vocoders
    from melmoat.cli.progress import bar
    from melmoat.errors import MelmoatError
    from melmoat.training.shaping import Scale, measure_shaping

    if out.exists():
        raise MelmoatError(f"{out} exists; name another file, or remove it first")
    with bar("shaping", min(limit, len(corpora.load(data)))) as tick:
        bands = vocoders.load(mel).mel
        scale: Scale = "linear" if linear else "log"
        curve = measure_shaping(model, attack, data, bands, scale, limit, batch, seed, tick, device)
    curve.save(out)
    peak = curve.hz[curve.values.index(max(curve.values))]
    typer.echo(f"wrote {out}: strongest at {peak:.0f} Hz. Use it as mdnf:shaping={out}")


@train.command()
def universal(
    out: Annotated[Path, typer.Option(help="File to write (.safetensors).")],
    data: Annotated[str, typer.Option(help="Corpus to train on. Do not use your test data.")],
    model: Annotated[str, typer.Option(help="Recognizer to attack.")] = "ds2-an4",
    defense: Annotated[str, typer.Option(help="Defense of the recognizer.")] = "none",
    budget: Annotated[
        str, typer.Option(help="Budget and target, as in the options of an attack.")
    ] = "norm=snr,db=20",
    pattern: Annotated[float, typer.Option(min=0.01, help="Seconds of the pattern.")] = 3.0,
    where: Annotated[
        Literal["everywhere", "prefix"],
        typer.Option(help="prefix: once, in the silence before the speech (padded:CORPUS)."),
    ] = "everywhere",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over --data.")] = 10,
    limit: Annotated[int, typer.Option(min=0, help="Utterances to use (0 = all).")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Utterances per step.")] = 8,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train one perturbation that fits every utterance.

    The file is for the attack universal:FILE.
    """
    from melmoat import data as corpora
    from melmoat.attacks.universal import save
    from melmoat.cli.progress import bar
    from melmoat.errors import MelmoatError
    from melmoat.training.universal import train_universal

    if out.exists():
        raise MelmoatError(f"{out} exists; name another file, or remove it first")
    if not out.parent.is_dir():
        raise MelmoatError(f"{out}: cannot write, the folder {out.parent} does not exist")
    count = len(list(corpora.load(data)))
    total = epochs * (min(limit, count) if limit else count)
    with bar("universal", total) as tick:
        found, ball, card = train_universal(
            model, budget, data, defense, pattern, epochs, limit, batch, seed, tick, device, where
        )
    save(out, found, ball, card)
    reached = card["reached_percent"]
    typer.echo(
        f"wrote {out}: goal reached on {reached} % of the training set. Use it as universal:{out}"
    )

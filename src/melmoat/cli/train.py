"""``melmoat train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from melmoat.cli.endings import refuse_idle, resumable
from melmoat.cli.options import DeviceOption

train = typer.Typer(help="Train the weights that melmoat uses.", no_args_is_help=True)


OutOption = Annotated[Path, typer.Option(help="Folder of the run; the same folder continues it.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Seed of every random draw.")]


@train.callback()
def _group() -> None:
    """Train the weights that melmoat uses."""


@train.command()
def asr(
    context: typer.Context,
    out: OutOption,
    data: Annotated[list[str], typer.Option(help="Corpora to train on, whole every epoch.")],
    extra: Annotated[
        list[str], typer.Option(help="Corpora of which a share is drawn every epoch.")
    ] = [],  # noqa: B006
    extra_share: Annotated[
        float, typer.Option(min=0, help="Extra utterances an epoch per one of --data.")
    ] = 0.5,
    held_out: Annotated[int, typer.Option(min=0, help="Speakers kept for validation.")] = 6,
    hidden: Annotated[int, typer.Option(min=1, help="Width of the recurrent layers.")] = 320,
    layers: Annotated[int, typer.Option(min=1, help="Recurrent layers.")] = 3,
    channels: Annotated[int, typer.Option(min=1, help="Channels of the convolutions.")] = 16,
    epochs: Annotated[int, typer.Option(min=1)] = 60,
    batch: Annotated[int, typer.Option(min=1, help="Utterances a step.")] = 16,
    lr: Annotated[
        float | None,
        typer.Option(min=0, help="Peak learning rate; 1e-3, or 3e-5 of an hf-ctc model."),
    ] = None,
    half: Annotated[bool, typer.Option(help="Export 16-bit weights (of a DeepSpeech2).")] = False,
    start: Annotated[
        str | None,
        typer.Option("--start", "--model", help="Recognizer to start from, such as hf-ctc:NAME."),
    ] = None,
    defense: Annotated[
        str | None,
        typer.Option(help="Front-end to fine-tune for, such as resynth:vocoder=melgan-lab."),
    ] = None,
    defended: Annotated[
        float, typer.Option(min=0, max=1, help="Share of utterances heard through --defense.")
    ] = 0.7,
    attack: Annotated[
        str | None,
        typer.Option(help="Attack to train against, such as pgd:db=23,steps=4."),
    ] = None,
    attacked: Annotated[
        float, typer.Option(min=0, max=1, help="Share of examples that --attack attacks.")
    ] = 1.0,
    noise: Annotated[
        float, typer.Option(min=0, max=1, help="Probability of white noise on an utterance.")
    ] = 0.5,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train a DeepSpeech2 or fine-tune a recognizer; killed, the same command goes on."""
    from melmoat.models.deepspeech2 import DeepSpeech2Config
    from melmoat.training.asr import Recipe, train_asr
    from melmoat.training.students import peak_rate, spec_of

    if defense is None:
        refuse_idle(context, ["defended"], "needs --defense")
    if not extra:
        refuse_idle(context, ["extra_share"], "needs --extra")
    if attack is None:
        refuse_idle(context, ["attacked"], "needs --attack")
    if start is not None:
        refuse_idle(context, ["hidden", "layers", "channels"], "are those of --start")
    config = DeepSpeech2Config(hidden=hidden, layers=layers, channels=channels)
    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        lr=peak_rate(start) if lr is None else lr,
        extra=extra_share,
        noise=noise,
        defended=defended,
        seed=seed,
    )
    with resumable("the state is", out):
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
        )
    wer, left = card["held_out_wer"], card["left_out"]
    score = "" if wer is None else f"; greedy WER on held-out speakers {wer:.2f} %"
    if (under := card.get("held_out_attacked_wer")) is not None:
        score += f", attacked {under:.2f} %"
    few = f"; {left} utterance(s) left out: too short for their texts" if left else ""
    typer.echo(f"wrote {path}{score}{few}. Use it as {spec_of(path)}")


@train.command()
def vocoder(
    out: OutOption,
    data: Annotated[list[str], typer.Option(help="Corpora to learn from; texts are not used.")],
    architecture: Annotated[str, typer.Option(help="melgan-lab or pwg-lab.")] = "melgan-lab",
    held_out: Annotated[int, typer.Option(min=0, help="Speakers kept for validation.")] = 4,
    steps: Annotated[int | None, typer.Option(min=1, help="Optimiser steps.")] = None,
    warmup: Annotated[
        int | None, typer.Option(min=0, help="Steps before the discriminator joins.")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step.")] = None,
    lr: Annotated[
        float | None, typer.Option(min=0, help="Peak learning rate of the generator.")
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Vocoder to start from, such as trained:PATH.")
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train a vocoder of a lab size; killed at any time, the same command goes on."""
    from dataclasses import replace

    from melmoat.errors import MelmoatError
    from melmoat.training.labs import LABS, train_vocoder

    if architecture not in LABS:
        raise MelmoatError(f"unknown architecture {architecture!r}; known: {', '.join(LABS)}")
    recipe = LABS[architecture].recipe
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
    with resumable("the state is", out):
        path, scores = train_vocoder(out, data, held_out, architecture, recipe, start, device)
    found = "".join(f"; {name} {value:.3f}" for name, value in scores.items())
    typer.echo(f"wrote {path}{found}. Use it as trained:{path}")


@train.command()
def shaping(
    out: Annotated[Path, typer.Option(help="File to write (.json).")],
    data: Annotated[str, typer.Option(help="Corpus to attack; not one that you test on.")],
    model: Annotated[str, typer.Option(help="Recognizer under attack.")] = "ds2-an4",
    attack: Annotated[str, typer.Option(help="Attack spec.")] = "pgd:norm=snr,db=20,steps=50",
    mel: Annotated[str, typer.Option(help="Vocoder whose mel bands to use.")] = "griffin-lim",
    linear: Annotated[
        bool, typer.Option(help="Compare mel magnitudes instead of their logarithms.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, help="Pairs of benign and attacked audio.")] = 100,
    batch: Annotated[int, typer.Option(min=1, help="Utterances attacked together.")] = 8,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Measure where in frequency an attack acts, as a curve for mdnf:shaping=FILE."""
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
    data: Annotated[str, typer.Option(help="Corpus to train on; not one that you test on.")],
    model: Annotated[str, typer.Option(help="Recognizer under attack.")] = "ds2-an4",
    defense: Annotated[str, typer.Option(help="Its defense.")] = "none",
    budget: Annotated[
        str, typer.Option(help="Budget and aim, as in an attack's spec.")
    ] = "norm=snr,db=20",
    pattern: Annotated[float, typer.Option(min=0.01, help="Length of the pattern, s.")] = 3.0,
    epochs: Annotated[int, typer.Option(min=1)] = 10,
    limit: Annotated[int, typer.Option(min=0, help="Utterances; 0 for all.")] = 0,
    batch: Annotated[int, typer.Option(min=1, help="Utterances a step.")] = 8,
    seed: SeedOption = 0,
    device: DeviceOption = "cpu",
) -> None:
    """Train one perturbation that is added to every utterance, for universal:FILE."""
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
            model, budget, data, defense, pattern, epochs, limit, batch, seed, tick, device
        )
    save(out, found, ball, card)
    reached = card["reached_percent"]
    typer.echo(
        f"wrote {out}: goal reached on {reached} % of the training set. Use it as universal:{out}"
    )

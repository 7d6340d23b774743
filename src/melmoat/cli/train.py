"""``melmoat train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

train = typer.Typer(help="Train the weights that melmoat uses.", no_args_is_help=True)


@train.callback()
def _group() -> None:
    """Train the weights that melmoat uses."""


@train.command()
def asr(
    out: Annotated[Path, typer.Option(help="Folder of the run; the same folder continues it.")],
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
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    half: Annotated[bool, typer.Option(help="Export 16-bit weights.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights, order and augmentation.")] = 0,
) -> None:
    """Train a DeepSpeech2 from scratch; killed at any time, the same command goes on."""
    from melmoat.models.deepspeech2 import DeepSpeech2Config
    from melmoat.training.asr import Recipe, train_asr

    config = DeepSpeech2Config(hidden=hidden, layers=layers, channels=channels)
    recipe = Recipe(epochs=epochs, batch=batch, lr=lr, extra=extra_share, seed=seed)
    try:
        path, wer = train_asr(out, data, extra, held_out, config, recipe, half)
    except KeyboardInterrupt:
        typer.echo(f"interrupted: the state is in {out}; the same command goes on", err=True)
        raise typer.Exit(130) from None
    score = "" if wer is None else f"; greedy WER on held-out speakers {wer:.2f} %"
    typer.echo(f"wrote {path}{score}. Use it as deepspeech2:{path}")

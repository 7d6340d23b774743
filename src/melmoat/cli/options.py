"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1.")]
ChannelOption = Annotated[
    str, typer.Option(help="Channel to use: mix (the mean of all) or a number from 0.")
]
ModelOption = Annotated[str, typer.Option(help="Recognizer. `melmoat list` shows all.")]
DefenseOption = Annotated[str, typer.Option(help="Defense, such as mdnf:level=0.1.")]
SeedOption = Annotated[int, typer.Option(help="Seed of all random draws.")]
SecretOption = Annotated[
    int | None,
    typer.Option(help="Seed of all random draws. If unset, a fresh secret seed is used."),
]

"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, or such as cuda, cuda:1.")]
ChannelOption = Annotated[
    str, typer.Option(help="Of recordings with several: mix, or a number; 0 is the first.")
]
ModelOption = Annotated[str, typer.Option(help="Recognizer spec; `melmoat list` shows them.")]
DefenseOption = Annotated[str, typer.Option(help="Defense spec, such as mdnf:level=0.1.")]
SeedOption = Annotated[int, typer.Option(help="Seed of every random draw.")]
SecretOption = Annotated[
    int | None, typer.Option(help="Seed of every random draw, to repeat them; nobody's if not set.")
]

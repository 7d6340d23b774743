"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

DeviceOption = Annotated[str, typer.Option(help="Where to compute: cpu, or such as cuda, cuda:1.")]
ChannelOption = Annotated[
    str, typer.Option(help="Of recordings with several: mix, or a number; 0 is the first.")
]

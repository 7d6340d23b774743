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
HostOption = Annotated[str, typer.Option(help="Address to listen on (0.0.0.0 = all).")]
PortOption = Annotated[
    int, typer.Option(min=0, max=65535, help="Port to listen on (0 = any free port).")
]
AllowedHostOption = Annotated[
    list[str] | None,
    typer.Option(
        help="Host name that clients may use ('*' = any). May be repeated. "
        "Default: localhost if it listens only there, else any."
    ),
]
SeedOption = Annotated[int, typer.Option(help="Seed of all random draws.")]
SecretOption = Annotated[
    int | None,
    typer.Option(help="Seed of all random draws. If unset, a fresh secret seed is used."),
]

HERE = ("localhost", "127.0.0.1", "::1")


def hosts_of(host: str, allowed: list[str] | None) -> list[str]:
    """The host names that requests to a server on ``host`` may use; none if any may be."""
    names = allowed or (list(HERE) if host in HERE else ["*"])
    return [] if "*" in names else names

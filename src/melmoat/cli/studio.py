"""``melmoat studio``."""

from __future__ import annotations

from typing import Annotated

import typer

from melmoat.cli.options import (
    AllowedHostOption,
    DeviceOption,
    HostOption,
    PortOption,
    hosts_of,
)

trying = typer.Typer()


@trying.command()
def studio(
    model: Annotated[
        list[str] | None,
        typer.Option(help="Recognizer to offer. May be repeated. Default: what ships."),
    ] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(help="Attack to offer. May be repeated. Default: pgd, apgd and controls."),
    ] = None,
    defense: Annotated[
        list[str] | None,
        typer.Option(help="Defense to offer. May be repeated. Default: a selection."),
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 7860,
    longest: Annotated[float, typer.Option(min=1, help="Most seconds of one recording.")] = 15,
    seconds: Annotated[float, typer.Option(min=1, help="Most seconds of one run.")] = 120,
    megabytes: Annotated[float, typer.Option(min=0.1, help="Most megabytes of an upload.")] = 10,
    waiting: Annotated[int, typer.Option(min=1, help="Most runs that wait.")] = 8,
    at_once: Annotated[int, typer.Option(min=1, help="Most runs at once.")] = 1,
    allowed_host: AllowedHostOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a page to try attacks and defenses.

    Visitors record or upload speech, attack it, defend it, and hear and see what happened. They can
    only choose what the options offer, because a spec can name files and import modules.
    """
    from melmoat.memory import for_any_length

    for_any_length()
    import melmoat.studio  # noqa: F401  (before Gradio, which would report its use)
    from melmoat.devices import usable
    from melmoat.errors import extra
    from melmoat.studio.choices import ATTACKS_OFFERED, DEFENSES, Offer, recognizers
    from melmoat.studio.session import Bounds, Session

    with extra("studio", "studio"):
        import gradio  # noqa: F401
        import prometheus_client  # noqa: F401

        from melmoat.studio.serving import run
    offer = Offer(model or recognizers(), attack or ATTACKS_OFFERED, defense or DEFENSES)
    usable(device)
    session = Session(offer, Bounds(longest, seconds, megabytes, waiting, at_once), device)
    session.load()
    run(session, host, port, hosts_of(host, allowed_host))

"""``melmoat studio``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from melmoat.cli.options import DeviceOption
from melmoat.cli.serve import HERE

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
    host: Annotated[str, typer.Option(help="Address to listen on (0.0.0.0 = all).")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on (0 = any free port).")
    ] = 7860,
    longest: Annotated[float, typer.Option(min=1, help="Most seconds of one recording.")] = 15,
    seconds: Annotated[float, typer.Option(min=1, help="Most seconds of one run.")] = 120,
    megabytes: Annotated[float, typer.Option(min=0.1, help="Most megabytes of an upload.")] = 10,
    waiting: Annotated[int, typer.Option(min=1, help="Most runs that wait.")] = 8,
    at_once: Annotated[int, typer.Option(min=1, help="Most runs at once.")] = 1,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Host name that clients may use ('*' = any). May be repeated. "
            "Default: localhost if it listens only there, else any."
        ),
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a page to try attacks and defenses.

    Visitors record or upload speech, attack it, defend it, and hear and see what happened. They can
    only choose what the options offer, because a spec can name files and import modules.
    """
    # oneDNN keeps a program for each shape, so memory would grow with every length of a recording.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")  # read when torch is imported
    import melmoat.studio  # noqa: F401  (before Gradio, which would report its use)
    from melmoat.devices import usable
    from melmoat.errors import extra
    from melmoat.memory import keep_freed_memory
    from melmoat.studio.choices import ATTACKS_OFFERED, DEFENSES, Offer, recognizers
    from melmoat.studio.session import Bounds, Session

    with extra("studio", "studio"):
        import gradio  # noqa: F401
        import prometheus_client  # noqa: F401

        from melmoat.studio.serving import run
    keep_freed_memory()
    offer = Offer(model or recognizers(), attack or ATTACKS_OFFERED, defense or DEFENSES)
    usable(device)
    session = Session(offer, Bounds(longest, seconds, megabytes, waiting, at_once), device)
    session.load()
    names = allowed_host or (HERE if host in HERE else ["*"])
    run(session, host, port, () if "*" in names else names)

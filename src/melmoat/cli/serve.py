"""``melmoat serve``."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from melmoat.cli.options import DeviceOption

serving = typer.Typer()
HERE = ("localhost", "127.0.0.1", "::1")


@serving.command()
def serve(
    defense: Annotated[str, typer.Option(help="Defense spec, such as mdnf:level=0.1.")],
    model: Annotated[
        str | None, typer.Option(help="Recognizer spec; none: only /defend is served.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any free one.")] = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Recordings transcribed together.")] = 8,
    seconds: Annotated[
        float, typer.Option(min=1, help="Most audio of a batch, padding included.")
    ] = 120,
    longest: Annotated[float, typer.Option(min=0, help="Seconds of one recording.")] = 60,
    megabytes: Annotated[float, typer.Option(min=0, help="Most of one request.")] = 25,
    waiting: Annotated[
        int, typer.Option(min=1, help="Requests at once whose body has arrived, at most.")
    ] = 64,
    queue: Annotated[
        float, typer.Option(min=0, help="Most seconds of work before a recording's turn.")
    ] = 60,
    upload: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a request's body may take to arrive.")
    ] = 120,
    idle: Annotated[
        float, typer.Option(min=0.1, help="Seconds that a client may send nothing.")
    ] = 10,
    connections: Annotated[int, typer.Option(min=1, help="Connections at once, at most.")] = 512,
    each: Annotated[int, typer.Option(min=1, help="Connections of one address, at most.")] = 256,
    grace: Annotated[
        int, typer.Option(min=1, help="Seconds for what is open when the server is told to end.")
    ] = 30,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name by which clients may call the server; may be given again, '*' is any. "
            "Default: localhost where it listens there alone, else any."
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(help="Language that clients may name; default: the --model's own, or en."),
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a defense over HTTP, and the recognizer behind it if one is given.

    POST /defend gives the recording back, defended; POST /v1/audio/transcriptions (OpenAI's
    interface) its transcript. There is no authentication: put a proxy in front.
    """
    # oneDNN keeps a program for each shape, so memory would grow with every length of a recording.
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")  # read when torch is imported
    from melmoat.errors import MelmoatError
    from melmoat.memory import keep_freed_memory

    try:
        import python_multipart  # noqa: F401  (FastAPI wants it, and says so in other words)
        import uvicorn  # noqa: F401

        from melmoat.server import Limits, create_app, run
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("melmoat"):
            raise
        raise MelmoatError(f'serve needs {error.name}: pip install "melmoat[serve]"') from error
    keep_freed_memory()
    limits = Limits(
        batch, seconds, longest, megabytes, waiting, queue, upload, idle, connections, each
    )
    names = allowed_host or (HERE if host in HERE else ["*"])
    hosts = () if "*" in names else names
    run(create_app(defense, model, limits, device, hosts, language), host, port, limits, grace)

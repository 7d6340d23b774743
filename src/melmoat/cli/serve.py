"""``melmoat serve``."""

from __future__ import annotations

from typing import Annotated

import typer

from melmoat.cli.options import DeviceOption

serving = typer.Typer()
GRACE = 30  # seconds that open requests have when the server is told to end


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
    waiting: Annotated[int, typer.Option(min=1, help="Requests at once, at most.")] = 64,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a defense over HTTP, and the recognizer behind it if one is given.

    POST /defend gives the recording back, defended; POST /v1/audio/transcriptions (OpenAI's
    interface) its transcript. There is no authentication: put a proxy in front.
    """
    from melmoat.errors import MelmoatError
    from melmoat.memory import keep_freed_memory

    try:
        import python_multipart  # noqa: F401  (FastAPI wants it, and says so in other words)
        import uvicorn

        from melmoat.server import Limits, create_app
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("melmoat"):
            raise
        raise MelmoatError(f'serve needs {error.name}: pip install "melmoat[serve]"') from error
    keep_freed_memory()
    app = create_app(defense, model, Limits(batch, seconds, longest, megabytes, waiting), device)
    uvicorn.run(app, host=host, port=port, timeout_graceful_shutdown=GRACE)

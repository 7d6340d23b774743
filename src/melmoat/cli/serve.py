"""``melmoat serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from melmoat.cli.errors import refuse_idle
from melmoat.cli.options import (
    AllowedHostOption,
    DeviceOption,
    HostOption,
    PortOption,
    hosts_of,
)

serving = typer.Typer()
LogFormat = Literal["text", "json"]


@serving.command()
def serve(
    context: typer.Context,
    defense: Annotated[str, typer.Option(help="Defense, such as mdnf:level=0.1.")],
    model: Annotated[
        str | None, typer.Option(help="Recognizer. Without one, only /defend is served.")
    ] = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            help="Server that transcribes, such as http://HOST:PORT/v1. It has OpenAI's interface "
            "and gets the defended recordings. Instead of --model."
        ),
    ] = None,
    upstream_key_file: Annotated[
        Path | None, typer.Option(help="File with the key of the upstream server.")
    ] = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8000,
    batch: Annotated[int, typer.Option(min=1, help="Recordings in a batch.")] = 8,
    seconds: Annotated[
        float, typer.Option(min=1, help="Most seconds of audio in a batch, with padding.")
    ] = 120,
    longest: Annotated[float, typer.Option(min=0, help="Most seconds of one recording.")] = 60,
    megabytes: Annotated[float, typer.Option(min=0, help="Most megabytes of one request.")] = 25,
    waiting: Annotated[
        int, typer.Option(min=1, help="Most requests that have arrived and wait for an answer.")
    ] = 64,
    queue: Annotated[
        float, typer.Option(min=0, help="Most seconds of work ahead of a new recording.")
    ] = 60,
    upload: Annotated[
        float, typer.Option(min=0.1, help="Seconds in which a request must arrive in full.")
    ] = 120,
    idle: Annotated[
        float, typer.Option(min=0.1, help="Seconds for which a client may send nothing.")
    ] = 10,
    connections: Annotated[int, typer.Option(min=1, help="Most open connections.")] = 512,
    each: Annotated[int, typer.Option(min=1, help="Most open connections from one address.")] = 256,
    grace: Annotated[
        int, typer.Option(min=1, help="Seconds to finish open requests when the server stops.")
    ] = 30,
    allowed_host: AllowedHostOption = None,
    deadline: Annotated[
        float, typer.Option(min=0.1, help="Most seconds from a request's arrival to its answer.")
    ] = 120,
    waiting_each: Annotated[
        int, typer.Option(min=1, help="Most requests of one client that wait for an answer.")
    ] = 32,
    streams: Annotated[int, typer.Option(min=1, help="Most live streams.")] = 8,
    streams_each: Annotated[int, typer.Option(min=1, help="Most live streams of one client.")] = 4,
    stream_seconds: Annotated[
        float, typer.Option(min=1, help="Most seconds of a live stream.")
    ] = 3600,
    api_key_file: Annotated[
        Path | None,
        typer.Option(
            help="File of client keys, one a line. The variable MELMOAT_API_KEY has one too. "
            "Default: anyone may use the server."
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(help="Web origin whose pages may use the server. May be repeated."),
    ] = None,
    root_path: Annotated[
        str, typer.Option(help="What a proxy removes from the beginning of paths.")
    ] = "",
    ssl_certfile: Annotated[
        Path | None, typer.Option(help="Certificate for TLS. Default: HTTP without TLS.")
    ] = None,
    ssl_keyfile: Annotated[
        Path | None, typer.Option(help="Key of the certificate, if it is in a file of its own.")
    ] = None,
    log_format: Annotated[
        LogFormat, typer.Option(help="Form of the log: text, or a JSON object a line.")
    ] = "text",
    language: Annotated[
        str | None,
        typer.Option(help="Language that clients may ask for. Default: the model's, or en."),
    ] = None,
    device: DeviceOption = "cpu",
) -> None:
    """Serve a defense, and a recognizer behind it, over HTTP.

    POST /defend returns the defended recording. /defend/stream is a WebSocket for live audio. POST
    /v1/audio/transcriptions (OpenAI's interface) returns the transcript, by --model or by another
    server (--upstream). Before you open it to others, read docs/serving.md: keys, TLS, limits.
    """
    from melmoat.memory import for_any_length

    for_any_length()
    from melmoat.errors import MelmoatError, extra

    with extra("serve", "serve"):
        import httpx  # noqa: F401
        import python_multipart  # noqa: F401  (FastAPI wants it, and says so in other words)
        import uvicorn  # noqa: F401

        from melmoat.server import Limits, create_app, run
        from melmoat.server.access import keys_of
        from melmoat.server.running import Front
        from melmoat.server.upstream import Upstream, key_in
    sizes = batch, seconds, longest, megabytes, waiting, queue
    shares = waiting_each, streams, streams_each, stream_seconds
    limits = Limits(*sizes, upload, idle, connections, each, deadline, *shares)
    keys = keys_of(api_key_file)
    if not model:
        refuse_idle(context, ["language"], "is of a --model")
    if ssl_keyfile and not ssl_certfile:
        raise MelmoatError("--ssl-keyfile is the key of --ssl-certfile: give that, too")
    if upstream_key_file and not upstream:
        raise MelmoatError("--upstream-key-file is for --upstream: whose key is it?")
    key = key_in(upstream_key_file) if upstream_key_file else None
    behind = Upstream(upstream, key) if upstream else None
    front = Front(ssl_certfile, ssl_keyfile, root_path, log_format)
    hosts = hosts_of(host, allowed_host)
    origins = allow_origin or ()
    app = create_app(defense, model, limits, device, hosts, language, keys, origins, behind)
    run(app, host, port, limits, grace, front)

"""A server of files on this machine, with the faults that real ones have."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What is served, and how.

    Attributes:
        ranges: whether parts can be asked for.
        cut: connections break after so many bytes; 0: they do not.
        down: connections break before the first byte.
        etag: mark of the version; empty: none.
        length: whether the length is said.
        kind: content type.
        asked: the Range of each request.
    """

    url: str
    contents: dict[str, bytes]
    ranges: bool = True
    cut: int = 0
    down: bool = False
    etag: str = '"1"'
    length: bool = True
    kind: str = "application/octet-stream"
    asked: list[str | None] = field(default_factory=list)


@contextmanager
def site(contents: dict[str, bytes]) -> Iterator[Site]:
    """Serve ``contents``, by path, for the length of a ``with`` block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range")
            made.asked.append(wanted)
            if made.down:
                self.close_connection = True
                return
            content = made.contents.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start, stale = 0, self.headers.get("If-Range", made.etag) != made.etag
            if wanted and made.ranges and not stale:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                self.send_response(206)
                whole = f"{start}-{len(content) - 1}/{len(content)}"
                self.send_header("Content-Range", f"bytes {whole}")
            else:
                self.send_response(200)
            if made.length:
                self.send_header("Content-Length", str(len(content) - start))
            if made.etag:
                self.send_header("ETag", made.etag)
            self.send_header("Content-Type", made.kind)
            self.end_headers()
            sent = content[start:]
            self.wfile.write(sent[: made.cut] if made.cut else sent)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Site(f"http://127.0.0.1:{server.server_port}", contents)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def packed(members: dict[str, bytes], *others: tarfile.TarInfo) -> bytes:
    """A tar.gz of files, and of ``others``."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in others:
            tar.addfile(info)
    return out.getvalue()

"""Load on a running server: what is lost, how long answers take, and how its memory grows.

    melmoat serve --defense mdnf:level=0.1 --each 512                     # in another terminal
    python benchmarks/server_load.py --clients 32 --seconds 120
    python benchmarks/server_load.py --requests 2000 --seconds 3600 --slow 100
    python benchmarks/server_load.py --malformed 1000

Each client sends a recording when it has the answer to its last one. The recordings are noise of
0.5 to 20 s; short ones are more frequent. After 503 a client waits as long as Retry-After says,
which is no failure. A failure is any other status than 200, or a broken connection. The exit status
is 1 if there is one.

With --malformed, uploads are sent that no server can use: cut, damaged, empty, of other forms, with
odd fields. A failure is a broken connection, or a status of 500 or more other than 503.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import random
import sys
import time
from collections import Counter

import httpx
import numpy as np
import soundfile

RATE = 16_000
WATCHED = 2.0  # seconds between two looks at the memory
LENGTHS = (0.5, 0.5, 1, 1, 1, 2, 2, 4, 8, 20)  # seconds


def recording(seconds: float, seed: int = 0) -> bytes:
    """Noise, as a WAV file of 16 bits."""
    noise = np.random.default_rng(seed).normal(0, 0.1, int(RATE * seconds))
    file = io.BytesIO()
    soundfile.write(file, noise.clip(-1, 1), RATE, "PCM_16", format="wav")
    return file.getvalue()


def malformed(draw: random.Random, good: bytes) -> tuple[bytes, str]:
    """A body and its content type, which no server can use."""
    cut = good[: draw.randrange(44)]  # without any sample
    odd = draw.randbytes(draw.randrange(1, 5000))
    damaged = b"RIFF" + odd
    plain = "multipart/form-data; boundary=b"
    return draw.choice(
        [
            (form(cut), plain),
            (form(odd), plain),
            (form(damaged), plain),
            (form(b""), plain),
            (form(b"fLaC" + odd), plain),
            (form(b"OggS" + odd), plain),
            (form(good, 'name="other"; filename="a.wav"'), plain),
            (form(good)[: draw.randrange(60)], plain),
            (form(good) + b"--b", "multipart/form-data"),
            (odd, plain),
            (odd, "audio/wav"),
            (b"{}", "application/json"),
            (form(good)[:-8] + b"\r\n" + form(b"nonsense", 'name="channel"'), plain),
        ]
    )


def form(content: bytes, disposition: str = 'name="file"; filename="a.wav"') -> bytes:
    """A form of one part."""
    begin = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n"
    return begin.encode() + content + b"\r\n--b--\r\n"


async def load(http: httpx.AsyncClient, asked: argparse.Namespace) -> tuple[list[float], Counter]:
    """Seconds of each answer with 200, and the number of answers of each kind."""
    files = {seconds: recording(seconds) for seconds in set(LENGTHS)}
    until = time.monotonic() + asked.seconds
    left = iter(range(asked.requests or sys.maxsize))
    waits: list[float] = []
    outcomes: Counter[str] = Counter()

    async def client(number: int) -> None:
        draw = random.Random(number)
        while time.monotonic() < until and next(left, None) is not None:
            content = files[draw.choice(LENGTHS)]
            began = time.perf_counter()
            outcome, pause = await answered(
                http, asked.route, files={"file": ("a.wav", content)}, data=dict(asked.field)
            )
            outcomes[outcome] += 1
            if outcome == "200":
                waits.append(time.perf_counter() - began)
            await asyncio.sleep(min(pause, max(0.0, until - time.monotonic())))

    await asyncio.gather(*map(client, range(asked.clients)))
    return waits, outcomes


async def drip(asked: argparse.Namespace) -> None:
    """A slow client: it sends its upload byte by byte, and begins again where it is cut off."""
    address = httpx.URL(asked.server)
    head = f"POST {asked.route} HTTP/1.1\r\nHost: {address.host}\r\nContent-Length: 100000\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\n"
    head += f"Authorization: Bearer {asked.key}\r\n\r\n" if asked.key else "\r\n"
    while True:
        try:
            _, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(head.encode() + form(b"").partition(b"\r\n--b--")[0])
            while True:
                writer.write(b"-")
                await writer.drain()
                await asyncio.sleep(1)
        except OSError:
            await asyncio.sleep(1)


async def refuse(http: httpx.AsyncClient, asked: argparse.Namespace) -> Counter:
    """The number of answers of each kind to malformed uploads."""
    draw, good = random.Random(0), recording(0.5)
    left = iter([malformed(draw, good) for _ in range(asked.malformed)])
    outcomes: Counter[str] = Counter()

    async def client() -> None:
        for body, kind in left:
            outcome, _ = await answered(
                http, asked.route, content=body, headers={"Content-Type": kind}
            )
            outcomes[outcome] += 1

    await asyncio.gather(*(client() for _ in range(asked.clients)))
    return outcomes


async def answered(http: httpx.AsyncClient, route: str, **request: object) -> tuple[str, float]:
    """The status of an answer or the name of what broke, and the seconds to wait then."""
    try:
        answer = await http.post(route, **request)
    except httpx.TransportError as error:
        return type(error).__name__, 1.0
    return str(answer.status_code), float(answer.headers.get("retry-after", 0))


async def memory(http: httpx.AsyncClient) -> float:
    """MB of the server's memory, without the processes that decode."""
    try:
        answer = await http.get("/metrics")
        answer.raise_for_status()
    except httpx.HTTPError as error:
        sys.exit(f"{http.base_url}: no metrics ({error}); is the server there, and --key right?")
    for line in answer.text.splitlines():
        if line.startswith("process_resident_memory_bytes "):
            return float(line.split()[1]) / 1e6
    return float("nan")


async def watch(http: httpx.AsyncClient, sizes: list[float]) -> None:
    """Note the server's memory now and then."""
    while True:
        await asyncio.sleep(WATCHED)
        sizes.append(await memory(http))


async def main(asked: argparse.Namespace) -> int:
    """Print the outcome; returns the exit status."""
    key = {"Authorization": f"Bearer {asked.key}"} if asked.key else {}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(
        base_url=asked.server, headers=key, limits=limits, timeout=300
    ) as http:
        before = await memory(http)
        sizes = [before]
        beside = [asyncio.create_task(watch(http, sizes))]
        beside += [asyncio.create_task(drip(asked)) for _ in range(asked.slow)]
        if asked.malformed:
            outcomes = await refuse(http, asked)
            wrong = [one for one in outcomes if one[0] not in "234" and one != "503"]
        else:
            waits, outcomes = await load(http, asked)
            wrong = [one for one in outcomes if one not in ("200", "503")]
            if waits:
                points = np.percentile(waits, [50, 95, 99])
                print("response time, s: p50 {:.3f}, p95 {:.3f}, p99 {:.3f}".format(*points))
        for task in beside:
            task.cancel()
        sizes.append(await memory(http))
    print("answers:", ", ".join(f"{count} x {one}" for one, count in outcomes.most_common()))
    print(f"failures: {sum(outcomes[one] for one in wrong)} of {outcomes.total()}")
    parts = ", ".join(f"{size:.0f}" for size in sizes[1 : -1 : max(1, len(sizes) // 8)])
    print(f"memory of the server: {before:.0f} MB before, {sizes[-1]:.0f} MB after")
    print(f"memory over time, MB: {parts}")
    return bool(wrong) or not outcomes


def _field(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--server", default="http://127.0.0.1:8000")
    parser.add_argument("--route", default="/defend")
    parser.add_argument("--field", action="append", default=[], type=_field, metavar="NAME=VALUE")
    parser.add_argument("--key", help="API key of a client")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--slow", type=int, default=0, help="clients beside them that only drip")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--requests", type=int, help="stop after so many, not only by the clock")
    parser.add_argument("--malformed", type=int, default=0, metavar="N", help="send N such uploads")
    sys.exit(asyncio.run(main(parser.parse_args())))

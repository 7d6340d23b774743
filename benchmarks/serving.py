"""What the server costs beside the bare defense, and what gathering recordings brings each part.

    pip install "melmoat[serve]"
    python benchmarks/serving.py                 # on an idle machine

Clients send the recordings of the demo corpus over HTTP on this machine, each the next one when it
has its answer. Each pair is timed in turn; ratios are of whole rounds: median [lowest, highest].
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import torch
import uvicorn

from melmoat import audio, data, defenses
from melmoat.draws import Draws
from melmoat.memory import keep_freed_memory
from melmoat.server import Limits, create_app


@contextmanager
def served(asked: argparse.Namespace, batch: int) -> Iterator[str]:
    """The address of a server."""
    app = create_app(asked.defense, asked.model, Limits(batch))
    config = uvicorn.Config(app, port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


async def load(address: str, files: list[bytes], clients: int) -> tuple[list[float], float]:
    """Seconds of each answer, and of all of them."""
    waits: list[float] = []
    left = iter(files)
    async with httpx.AsyncClient(timeout=300) as http:

        async def one() -> None:
            for content in left:
                began = time.perf_counter()
                answer = await http.post(address, files={"file": ("a.wav", content)})
                answer.raise_for_status()
                waits.append(time.perf_counter() - began)

        began = time.perf_counter()
        await asyncio.gather(*(one() for _ in range(clients)))
        return waits, time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--defense", default="mdnf:level=0.1")
    parser.add_argument("--model", default="ds2-an4-mg")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    keep_freed_memory()
    recordings = [data.read([cut]) for cut in data.load("demo")]
    seconds = sum(float(one.seconds) for one in recordings)
    contents = [audio.encode(one, "wav") for one in recordings]
    front = defenses.function_of_audio(defenses.build(asked.defense))

    def bare() -> list[float]:
        assert front is not None
        waits = []
        for one in recordings:
            began = time.perf_counter()
            with torch.no_grad():
                front(one, Draws([0]))
            waits.append(time.perf_counter() - began)
        return waits

    def over_http(address: str, clients: int) -> tuple[list[float], float]:
        return asyncio.run(load(address, contents, clients))

    print(
        f"{asked.model} behind {asked.defense}, {len(recordings)} recordings of "
        f"{seconds / len(recordings):.1f} s on average, torch {torch.__version__}, "
        f"{torch.get_num_threads()} threads, {asked.rounds} rounds"
    )
    if front:
        batched(front, asked.rounds, bare)
    with served(asked, 8) as gathering, served(asked, 1) as singly:
        for clients in (1, 8) if front else ():
            pairs, waits = [], []
            for _ in range(asked.rounds + 1):
                alone = bare()
                found, whole = over_http(f"{gathering}/defend", clients)
                pairs.append((whole, sum(alone)))
                waits.append(found)
            print(
                f"/defend, {clients} clients: HTTP / bare defense {ratio(pairs[1:])}, {told(waits)}"
            )
        for clients in (1, 8, 32):
            pairs, waits = [], []
            for _ in range(asked.rounds + 1):
                _, one_by_one = over_http(f"{singly}/v1/audio/transcriptions", clients)
                found, whole = over_http(f"{gathering}/v1/audio/transcriptions", clients)
                pairs.append((one_by_one, whole))
                waits.append(found)
            print(
                f"/v1/audio/transcriptions, {clients} clients: one by one / gathering "
                f"{ratio(pairs[1:])}, {told(waits)}"
            )


def batched(front: defenses.FrontEnd, rounds: int, bare: Callable[[], list[float]]) -> None:
    cuts, pairs = list(data.load("demo")), []
    batches = [data.read(cuts[i : i + 8]) for i in range(0, len(cuts), 8)]
    for _ in range(rounds + 1):
        began = time.perf_counter()
        with torch.no_grad():
            for batch in batches:
                front(batch, Draws(range(len(batch))))
        pairs.append((time.perf_counter() - began, sum(bare())))
    print(f"bare defense: batches of 8 / one by one {ratio(pairs[1:])}")


def ratio(pairs: list[tuple[float, float]]) -> str:
    found = [a / b for a, b in pairs]
    return f"{statistics.median(found):.2f} [{min(found):.2f}, {max(found):.2f}]"


def told(rounds: list[list[float]]) -> str:
    """The answers of all rounds but the first, which warms up."""
    waits = [1e3 * wait for one in rounds[1:] for wait in one]
    return f"answers in {statistics.median(waits):.0f} ms (at most {max(waits):.0f})"


if __name__ == "__main__":
    main()

"""Run by test_killed.py: kills a run some times at random moments, then compares its rows.

The recognizer is a fake that is cheap and whose transcripts tell every bit of what it heard.
"""

import hashlib
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import torch

from melmoat.audio import Audio
from melmoat.bench import worker
from melmoat.bench.cell import Cell, grid
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.draws import Draws


class Fake:
    rate = 16_000

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        noise = draws.normal(audio.wav[:, :4])
        heard = [
            w.numpy().tobytes() + n.numpy().tobytes() for w, n in zip(audio, noise, strict=True)
        ]
        return [hashlib.sha256(one).hexdigest().upper() for one in heard]

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> torch.Tensor:
        return (audio.wav * draws.normal(audio.wav[:, :1])).square().sum(1)


def measure(store: Store, cells: list[Cell]) -> None:
    store.begin(cells, {})
    Runner(store, batch=3).run(cells, lambda cell, amount: None)
    store.summarise()


def rows(store: Store, cells: list[Cell]) -> list[list[dict[str, object]]]:
    kept = [sorted(store.rows(cell), key=lambda row: row["id"]) for cell in cells]
    return [[{**row, "seconds": 0} for row in one] for one in kept]


def started(store: Store, cells: list[Cell]) -> int:
    """A child that measures. The parent never does: autograd does not outlive a fork."""
    child = os.fork()
    if not child:
        try:
            measure(store, cells)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return child


def main(home: Path) -> None:
    torch.set_num_threads(1)
    worker.models.load = lambda spec: Fake()  # type: ignore[assignment]
    cells = grid(["ds2-an4"], ["none", "wgn"], ["none", "pgd:db=20,steps=1"], ["demo"])
    whole = Store(home / "whole")
    began = time.monotonic()
    assert os.waitpid(started(whole, cells), 0)[1] == 0
    took = time.monotonic() - began
    chance = random.Random(0)
    killed = finished = 0
    while killed < int(sys.argv[2]):
        child = started(Store(home / f"killed{finished}"), cells)
        time.sleep(chance.uniform(0, took / 2))
        os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), status
        killed += status == signal.SIGKILL
        finished += status == 0
    for i in range(finished + 1):
        store = Store(home / f"killed{i}")
        assert os.waitpid(started(store, cells), 0)[1] == 0
        assert rows(store, cells) == rows(whole, cells), store.folder
        assert all(len(one) == 24 for one in rows(store, cells))
    print("same rows after", killed, "kills")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

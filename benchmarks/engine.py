"""What the bench costs beside the attacks it runs: overhead, several processes, memory.

    python benchmarks/engine.py

Everything on the shipped speech and recognizer, one thread a process, interleaved; ratios of wall
time in one run, so on an idle machine of at least two cores.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import torch

from melmoat import attacks, data, models
from melmoat.bench.cell import Cell, grid
from melmoat.bench.executors import EXECUTORS
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store
from melmoat.draws import Draws
from melmoat.memory import keep_freed_memory

ATTACK = "pgd:norm=snr,db=25,steps=40"
BATCH, LIMIT, ROUNDS = 4, 8, 3


def ignore(cell: Cell, amount: float) -> None:
    pass


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def through_the_bench(cell: Cell, executor: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(Store(Path(folder)), BATCH, LIMIT, executor=EXECUTORS.build(executor))
        runner.run([cell], ignore)


def bare(cell: Cell) -> None:
    """The attack calls alone, with the two transcriptions that judging needs."""
    model, attack = models.load(cell.model), attacks.build(cell.attack)
    with tempfile.TemporaryDirectory() as folder:
        units = Runner(Store(Path(folder)), BATCH, LIMIT).missing(cell)
    for unit in units:
        audio = data.read(unit.batch).quantized()
        draws = Draws(cell.seed_of(cut.id) for cut in unit.batch)
        goal = attack.goal(model.transcribe(audio, draws), [])
        model.transcribe(attack(model, audio, goal, draws), draws)


def overhead(cell: Cell) -> None:
    bare(replaced(cell, 2))  # torch's first steps cost more
    pairs = [
        (seconds(lambda: through_the_bench(cell, "here")), seconds(lambda: bare(cell)))
        for _ in range(ROUNDS)
    ]
    report("bench / bare attack calls", [bench / alone for bench, alone in pairs])


def processes(cell: Cell) -> None:
    """Time of 30 more steps, so without what a process takes to start and to load."""
    times = []
    for _ in range(2):
        found = []
        for executor in ("processes:workers=1,threads=1", "processes:workers=2,threads=1"):
            few, many = (
                seconds(lambda: through_the_bench(one, executor))  # noqa: B023
                for one in (replaced(cell, 10), replaced(cell, 40))
            )
            found.append(many - few)
        times.append(found[0] / found[1])
    report("one process / two, one thread each", times)


def replaced(cell: Cell, steps: int) -> Cell:
    (made,) = grid([cell.model], [cell.defense], [f"{ATTACK.rpartition('=')[0]}={steps}"], ["demo"])
    return made


def memory(cell: Cell) -> None:
    """Peak of what Python holds while a cell of n rows is read and summarised."""
    for n in (100, 1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            Runner(store, BATCH, 1).run([cell], ignore)
            (row,) = store.rows(cell)
            store.path(cell).write_text(
                "".join(json.dumps({**row, "id": f"u{i:06d}"}) + "\n" for i in range(n))
            )
            store.begin([cell], {})
            tracemalloc.start()
            Runner(store, BATCH, 1).missing(cell)
            store.summarise()
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        print(f"{n:7d} rows: peak {peak / 2**20:6.1f} MiB, {peak / n / 1024:6.2f} KiB a row")


def report(what: str, ratios: list[float]) -> None:
    middle = statistics.median(ratios)
    print(f"{what:38}{middle:5.2f}  [{min(ratios):.2f}, {max(ratios):.2f}]")


if __name__ == "__main__":
    torch.set_num_threads(1)
    keep_freed_memory()
    (cell,) = grid(["ds2-an4"], ["none"], [ATTACK], ["demo"])
    overhead(cell)
    processes(cell)
    memory(grid(["ds2-an4"], ["none"], ["none"], ["demo"])[0])

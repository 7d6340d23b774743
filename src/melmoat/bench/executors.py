"""Executors of units: this process, several processes of this machine, or a Ray cluster.

An executor takes units one by one when it has room, and yields each result as soon as it is done,
in any order. With equal numbers of threads all executors compute the same rows.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection, wait
from typing import Protocol

import torch

from melmoat.bench.cluster import Ray
from melmoat.bench.worker import TRIES, Measured, Unit, Worker, alone, lost
from melmoat.errors import MelmoatError, one_line
from melmoat.spec import Registry

Tick = Callable[[Unit, float], None]


class Executor(Protocol):
    """Executes units."""

    def __call__(self, units: Iterable[Unit], tick: Tick) -> Iterator[Measured]:
        """Execute ``units``; ``tick(unit, utterances)`` reports progress.

        Raises:
            MelmoatError: a system cannot be built, so none of its units can be executed.
        """
        ...


@dataclass(frozen=True)
class Here:
    """This process."""

    def __call__(self, units: Iterable[Unit], tick: Tick) -> Iterator[Measured]:
        worker = Worker()
        for unit in units:
            yield worker.measure(unit, partial(tick, unit))


@dataclass(frozen=True)
class Processes:
    """Several processes on this machine.

    If the process of a unit dies (the system kills the largest one when memory runs out), the unit
    is tried again in a new process. If it always dies, its utterances are tried one by one.

    Args:
        workers: number of processes.
        threads: threads of each process; 0 divides the threads of this process between them.
    """

    workers: int = 2
    threads: int = 0

    def __post_init__(self) -> None:
        if self.workers < 1 or self.threads < 0:
            raise ValueError("processes: workers must be at least 1 and threads at least 0")

    def __call__(self, units: Iterable[Unit], tick: Tick) -> Iterator[Measured]:
        threads = self.threads or max(1, torch.get_num_threads() // self.workers)
        todo = iter(units)
        again: list[_Job] = []
        busy: dict[Connection, _Child] = {}
        idle: list[_Child] = []

        def more() -> _Job | None:
            if again:
                return again.pop()
            unit = next(todo, None)
            return None if unit is None else _Job(unit)

        with ExitStack() as stack:
            while True:
                while len(busy) < self.workers and (job := more()):
                    child = idle.pop() if idle else stack.enter_context(_Child(threads))
                    child.give(job)
                    busy[child.pipe] = child
                if not busy:
                    return
                for pipe in wait(list(busy)):
                    assert isinstance(pipe, Connection)
                    child = busy[pipe]
                    job = child.job
                    try:
                        kind, value = pickle.loads(pipe.recv_bytes())
                    except (EOFError, OSError):
                        del busy[pipe]
                        tick(job.unit, -job.ticked)
                        job.ticked, job.tries = 0.0, job.tries + 1
                        if job.tries < TRIES:
                            again.append(job)
                        elif singles := alone(job.unit):
                            again += map(_Job, singles)
                            tick(job.unit, len(job.unit.batch) - len(singles))
                        else:
                            tick(job.unit, len(job.unit.batch))
                            yield lost(job.unit, f"exit code {child.ended()}")
                        continue
                    if kind == "tick":
                        job.ticked += value
                        tick(job.unit, value)
                    elif kind == "error":
                        raise MelmoatError(value)
                    else:
                        idle.append(busy.pop(pipe))
                        yield value


@dataclass
class _Job:
    unit: Unit
    tries: int = 0
    ticked: float = 0.0


class _Child:
    """A process that executes units from a pipe, for the length of a ``with`` block."""

    job: _Job

    def __init__(self, threads: int) -> None:
        # A forked torch may hang: its thread pools do not survive.
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, threads), daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()  # so that a dead child ends the pipe

    def __enter__(self) -> _Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()

    def give(self, job: _Job) -> None:
        self.job = job
        with suppress(BrokenPipeError):  # it died idle: reading says so
            self.pipe.send_bytes(pickle.dumps(job.unit))

    def ended(self) -> int | None:
        self.process.join()
        return self.process.exitcode


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Block Ctrl-C in processes that are started in this block: the driver gets it and ends them.

    Windows has no such block. There :func:`_serve` ignores Ctrl-C once it has been imported.
    """
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, threads: int) -> None:
    """The loop of a child: units in, ticks and results out, until the pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def send(kind: str, value: object) -> None:
        # By value: the pipe's own pickler would put tensors into shared memory.
        pipe.send_bytes(pickle.dumps((kind, value)))

    worker = Worker(threads)
    while True:
        try:
            unit = pickle.loads(pipe.recv_bytes())
        except EOFError:
            return
        try:
            send("done", worker.measure(unit, partial(send, "tick")))
        except BrokenPipeError:
            return
        except Exception as error:
            send("error", one_line(error))


EXECUTORS: Registry[Executor] = Registry(
    "executor", {"here": Here, "processes": Processes, "ray": Ray}
)

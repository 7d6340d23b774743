"""Units on a Ray cluster (extra ``[ray]``)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from melmoat.bench.worker import TRIES, Measured, Unit, Worker, alone, lost
from melmoat.devices import CPU
from melmoat.errors import MelmoatError, extra

ANSWER = 20.0  # seconds for a cluster to answer; Ray itself tries for a quarter of an hour
CONNECT = 5.0  # seconds for its port to answer


@dataclass(frozen=True)
class Ray:
    """Workers on a Ray cluster, each an actor that loads its recognizers once.

    Every node needs this package. It also needs the corpora and weights that the specs name, under
    the same paths: use a shared file system. Only the driver needs the run's folder. If the worker
    or node of a unit dies, the unit is tried again elsewhere. If it always dies, its utterances are
    tried one by one.

    Args:
        address: address of the cluster. ``auto`` is the one that RAY_ADDRESS names or that this
            node belongs to, ``local`` starts a new one on this machine. Otherwise ``HOST:6379`` or
            ``ray://HOST:10001``.
        workers: number of actors (0 = as many as the cluster has room for).
        threads: threads of each actor; each takes one processor of the cluster.
        gpus: GPUs of each actor; may be a fraction.
    """

    address: str = "auto"
    workers: int = 0
    threads: int = 1
    gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers < 0 or self.threads < 1 or self.gpus < 0:
            raise ValueError("ray: workers and gpus must be at least 0 and threads at least 1")

    def __call__(
        self, units: Iterable[Unit], tick: Callable[[Unit, float], None]
    ) -> Iterator[Measured]:
        ray = _ray()
        ours = not ray.is_initialized()
        if ours:
            _join(ray, self.address)
        try:
            yield from self._run(ray, units, tick)
        finally:
            if ours:
                ray.shutdown()

    def places(self, resources: Mapping[str, float]) -> int:
        """The number of actors to start on a cluster with these resources.

        Actors without room wait until others have ended.
        """
        room = int(resources.get("CPU", 1)) // self.threads
        if self.gpus:
            room = min(room, int(resources.get("GPU", 0) / self.gpus))
        return self.workers or max(1, room)

    def _run(
        self, ray: Any, units: Iterable[Unit], tick: Callable[[Unit, float], None]
    ) -> Iterator[Measured]:
        workers = self.places(ray.cluster_resources())
        remote = ray.remote(
            num_cpus=self.threads,
            num_gpus=self.gpus,
            max_restarts=-1,
            max_task_retries=TRIES - 1,
        )(_Remote)
        todo = iter(units)
        again: list[Unit] = []
        doing: dict[Any, tuple[Any, Unit]] = {}
        idle: list[Any] = []
        while True:
            while len(doing) < workers:
                unit = again.pop() if again else next(todo, None)
                if unit is None:
                    idle.clear()  # ends actors, so that others get their room
                    break
                if unit.device != CPU and not self.gpus:
                    raise MelmoatError(
                        f"--device {unit.device}: say how many GPUs a worker has, ray:gpus=1; "
                        "otherwise all workers of a node would share the first GPU, or see none"
                    )
                if not idle:
                    idle.append(remote.remote(self.threads, str(Path.cwd())))
                actor = idle.pop()
                doing[actor.measure.remote(unit)] = actor, unit
                del actor
            if not doing:
                return
            (ready, *_), _ = ray.wait(list(doing))
            actor, unit = doing.pop(ready)
            try:
                done = ray.get(ready)
                idle.append(actor)
            except ray.exceptions.RayTaskError as error:
                raise MelmoatError(str(error.cause)) from error
            except ray.exceptions.RayError as error:
                if singles := alone(unit):
                    again += singles
                    tick(unit, len(unit.batch) - len(singles))
                    continue
                done = lost(unit, type(error).__name__)
            finally:
                del actor
            tick(unit, len(unit.batch))
            yield done


class _Remote:
    """A worker in the folder of the run's command, on its own node."""

    def __init__(self, threads: int, home: str) -> None:
        self.threads, self.home = threads, home

    @cached_property
    def worker(self) -> Worker:
        """Made at the first unit, whose answer can carry an error; an error at an actor's start is
        lost.

        Raises:
            MelmoatError: the node does not have the folder.
        """
        try:
            os.chdir(self.home)
        except OSError as error:
            raise MelmoatError(
                f"{self.home}: no such folder on a node of the cluster; start the run from one "
                "that every node mounts"
            ) from error
        return Worker(self.threads)

    def measure(self, unit: Unit) -> Measured:
        return self.worker.measure(unit)


def _ray() -> Any:
    with extra("ray", "a cluster"):
        import ray
    return ray


def _join(ray: Any, address: str) -> None:
    if address == "local":
        options: dict[str, Any] = {"include_dashboard": False}
        advice = "Ray could not start a cluster on this machine; processes:workers=2 needs none"
    else:
        _check_answer(address)
        options = {}
        advice = f"no Ray cluster at {_shown_address(address)}; {_ADVICE}"
    try:
        ray.init(address=address, log_to_driver=False, **options)
    except (OSError, ValueError, RuntimeError) as error:  # its ConnectionError is an OSError
        raise MelmoatError(f"{advice} ({error})") from error


_ADVICE = (
    "start one (ray start --head) and give its address, or use ray:address=local, which starts a "
    "new one on this machine"
)


def _shown_address(address: str) -> str:
    """``address``, or the address in the environment."""
    from_environment = os.environ.get("RAY_ADDRESS", "")
    return (
        f"{from_environment} (RAY_ADDRESS)" if address == "auto" and from_environment else address
    )


def _check_answer(address: str) -> None:
    """Check that a cluster answers in time; Ray itself has no such limit.

    Raises:
        MelmoatError: no cluster answers.
    """
    meant = os.environ.get("RAY_ADDRESS", "") or address if address == "auto" else address
    if meant != "auto":
        try:
            parts = urlsplit(meant if "://" in meant else f"//{meant}")
            if not parts.hostname or not parts.port:
                raise MelmoatError(f"ray: {_shown_address(address)} is no address; write HOST:PORT")
            socket.create_connection((parts.hostname, parts.port), CONNECT).close()
        except (OSError, ValueError) as error:  # ValueError: a port that is no number
            raise MelmoatError(
                f"no Ray cluster at {_shown_address(address)}: {error}; {_ADVICE}"
            ) from error
    if "://" in meant:
        return  # Ray's client has its own limit of 30 s
    command = [sys.executable, "-m", "ray.scripts.scripts", "status"]
    command += [] if meant == "auto" else ["--address", meant]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ANSWER, check=False)
    except subprocess.TimeoutExpired as error:
        raise MelmoatError(
            f"no Ray cluster at {_shown_address(address)}: no answer in {ANSWER:g} s; {_ADVICE}"
        ) from error
    if done.returncode:
        output = done.stderr.strip().splitlines() or ["it does not say why"]
        raise MelmoatError(f"no Ray cluster at {_shown_address(address)}: {output[-1]}; {_ADVICE}")

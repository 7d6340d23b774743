"""Decodes uploads in separate processes (:mod:`melmoat.server.child`).

A file that crashes the decoder, or keeps it busy, fails only its own request. A few child processes
are ready; most files need one of them for some hundredths of a second. If a file takes more than
:data:`QUICK` seconds of CPU time, its child is ended. The file is tried once more in another child
with more time. Such files wait only for each other.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
from typing import Any, BinaryIO

import anyio
import anyio.to_thread
import numpy as np

from melmoat.audio import Recording, usable
from melmoat.decoding import AudioError, Channel, Decoded
from melmoat.server.answers import busy
from melmoat.server.child import RATES
from melmoat.server.limits import Limits

QUICK, PATIENT = 1.0, 8.0  # seconds of CPU time for a file
SLOW = 4  # most slow files at once
MOST = 4  # children for quick files
GIB = 2**30  # bytes of address space of a child before any audio
log = logging.getLogger("melmoat.server")


class Overrun(Exception):
    """A file took more time than it had."""


class Decoder:
    """Decodes uploads, from :meth:`start` to :meth:`close`.

    Args:
        rate: rate of the decoded audio, Hz.
        limits: limits of the server.

    Attributes:
        running: number of files that are decoded, or wait for it.
    """

    def __init__(self, rate: int, limits: Limits) -> None:
        self._rate, self._longest = rate, limits.longest
        audio = min(limits.longest, 24 * 3600) * RATES * 4
        memory = GIB + int(4 * audio + 4e6 * limits.megabytes)
        self._quick = _Pool(MOST, QUICK, memory, niceness=0)
        self._patient = _Pool(1, PATIENT, memory, niceness=10)
        self._slow = self.running = 0

    def start(self) -> None:
        """Begin to decode."""
        self._quick.open(warm=1)
        self._patient.open(warm=0)

    def close(self) -> None:
        """End all children at once."""
        self._quick.close()
        self._patient.close()

    async def __call__(
        self, file: BinaryIO, name: str, channel: Channel = "mix"
    ) -> tuple[Recording, tuple[str, ...]]:
        """The recording at the rate of the service, and notes about the file.

        Raises:
            AudioError: it cannot be used.
            Refusal: too many slow files are waiting.
        """
        asked = {"name": name, "longest": self._longest, "channel": channel}
        self.running += 1
        try:
            decoded = await self._quick(file, asked)
        except Overrun:
            decoded = await self._patiently(file, asked)
        finally:
            self.running -= 1
        made = await anyio.to_thread.run_sync(usable, decoded, name, self._rate)
        return made, decoded.notes

    async def _patiently(self, file: BinaryIO, asked: dict[str, Any]) -> Decoded:
        if self._slow >= SLOW:
            raise busy(f"{SLOW} files that are slow to decode are already waiting", SLOW * PATIENT)
        self._slow += 1
        try:
            return await self._patient(file, asked)
        except Overrun as error:
            message = f"decoding it takes more than {PATIENT:g} s; convert it to wav or flac"
            raise AudioError(f"{asked['name']}: {message}") from error
        finally:
            self._slow -= 1


class _Pool:
    """At most ``most`` children, each with ``cpu`` seconds of CPU time per file."""

    def __init__(self, most: int, cpu: float, memory: int, niceness: int) -> None:
        self._limits = cpu, memory, niceness
        self._limiter, self._lock = anyio.CapacityLimiter(most), threading.Lock()
        self._open = False
        self._idle: list[_Child] = []
        self._all: list[_Child] = []

    def open(self, warm: int) -> None:
        """Start this many children; others are started when they are needed."""
        with self._lock:
            self._open = True
            self._idle = [self._new() for _ in range(warm)]

    def close(self) -> None:
        """End the children."""
        with self._lock:
            self._open = False
            for child in self._all:
                child.end()
            self._all, self._idle = [], []

    async def __call__(self, file: BinaryIO, asked: dict[str, Any]) -> Decoded:
        return await anyio.to_thread.run_sync(self._work, file, asked, limiter=self._limiter)

    def _work(self, file: BinaryIO, asked: dict[str, Any]) -> Decoded:
        child = self._taken()
        try:
            return child.ask(file, asked)
        finally:
            self._back(child)

    def _new(self) -> _Child:
        child = _Child(*self._limits)
        self._all.append(child)
        return child

    def _taken(self) -> _Child:
        with self._lock:
            if not self._open:
                raise RuntimeError("the decoder is not running")
            while self._idle:
                if (child := self._idle.pop()).alive:
                    return child
                self._lost(child)  # the system may end it to get memory
            return self._new()

    def _back(self, child: _Child) -> None:
        with self._lock:
            if not self._open:
                return
            if not child.alive:
                self._lost(child)
                child = self._new()
            self._idle.append(child)

    def _lost(self, child: _Child) -> None:
        child.end()
        self._all.remove(child)


class _Child:
    """A child process; it loads its libraries at once."""

    def __init__(self, cpu: float, memory: int, niceness: int) -> None:
        self._cpu, self._wall = cpu, 5 + 4 * cpu  # other processes use the machine too
        path = os.pathsep.join(folder for folder in sys.path if folder)
        alone = {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "melmoat.server.child", str(memory), str(niceness)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **alone},
            start_new_session=True,  # Ctrl+C is for the server, which answers its open requests
        )
        self._whole = True  # nothing is left in its pipes

    @property
    def alive(self) -> bool:
        return self._whole and self._process.poll() is None

    def end(self) -> None:
        """At once."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe:
                    pipe.close()
            except OSError:  # unwritten data
                pass
        self._process.wait()

    def ask(self, file: BinaryIO, asked: dict[str, Any]) -> Decoded:
        """Decode ``file``; ``asked`` has its name, channel and longest seconds.

        Raises:
            AudioError: the file cannot be decoded, or it ended the child.
            Overrun: it took too long.
        """
        self._whole, name = False, asked["name"]
        late = threading.Event()
        timer = threading.Timer(self._wall, self._stop, [late])
        timer.start()
        try:
            decoded = self._asked(file, asked)
        except (OSError, EOFError, ValueError) as error:  # ValueError: not an answer
            self._process.kill()
            status = self._process.wait()
            if late.is_set() or status == -getattr(signal, "SIGPROF", 0):
                raise Overrun from error
            log.warning("a decoder ended with status %s at %s", status, ascii(name))
            raise AudioError(
                f"{name}: not readable as audio (the decoder broke down); convert it to wav or flac"
            ) from error
        finally:
            timer.cancel()
        return decoded

    def _stop(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def _asked(self, file: BinaryIO, asked: dict[str, Any]) -> Decoded:
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None
        assert answers is not None
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        asked = {**asked, "cpu": self._cpu, "size": size}
        questions.write(json.dumps(asked).encode() + b"\n")
        shutil.copyfileobj(file, questions)
        questions.flush()
        line = answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        reply = json.loads(line)
        content = answers.read(reply["bytes"])
        if len(content) < reply["bytes"]:
            raise EOFError
        self._whole = True
        if "failed" in reply:
            log.error("decoding %s failed: %s", ascii(asked["name"]), reply["failed"])
            raise AudioError(f"{asked['name']}: not readable as audio; convert it to wav or flac")
        if "refused" in reply:
            raise AudioError(reply["refused"])
        return Decoded(
            np.frombuffer(content, np.float32).copy(), reply["rate"], tuple(reply["notes"])
        )

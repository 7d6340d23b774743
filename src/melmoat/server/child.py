"""The decoding process: a recording in, samples out, one after another.

Files come from anyone, and a decoder is a large C library. In this process it may hang, crash or
use up memory without harm to others. The process has only numpy and the decoder, no output except
its answers, and limits on its time and memory. :mod:`melmoat.server.decoding` starts it and talks
to it: a line of JSON and the file's bytes in, a line of JSON and float32 samples out.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from typing import Any, BinaryIO

from melmoat.decoding import decode
from melmoat.errors import MelmoatError

RATES = 192_000  # Hz, most
CHANNELS = 8  # most


def main() -> None:
    """Answer until there are no more requests."""
    memory, niceness = int(sys.argv[1]), int(sys.argv[2])
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries must not mix with the answers
    with contextlib.suppress(ImportError, OSError, ValueError):  # not on every system
        import resource

        os.nice(niceness)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    while line := questions.readline():
        asked = json.loads(line)
        file = io.BytesIO(questions.read(asked["size"]))
        _time(asked["cpu"])
        head, samples = answer(file, asked)
        _time(0)
        answers.write(json.dumps(head).encode() + b"\n")
        answers.write(samples)
        answers.flush()


def answer(file: BinaryIO, asked: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The answer to the parent: the samples, or the reason why there are none."""
    try:
        decoded = decode(
            file,
            asked["name"],
            channel=asked["channel"],
            longest=asked["longest"],
            fastest=RATES,
            widest=CHANNELS,
        )
    except MelmoatError as error:
        return {"refused": str(error), "bytes": 0}, b""
    except MemoryError:
        return {"refused": f"{asked['name']}: decoding it takes too much memory", "bytes": 0}, b""
    except Exception as error:  # an unexpected error of the decoder
        return {"failed": repr(error), "bytes": 0}, b""
    samples = decoded.samples.astype("<f4").tobytes()
    return {"rate": decoded.rate, "notes": list(decoded.notes), "bytes": len(samples)}, samples


def _time(seconds: float) -> None:
    """Let the system end this process after this many more seconds of CPU time (0 = no limit)."""
    with contextlib.suppress(AttributeError):  # not on every system
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()

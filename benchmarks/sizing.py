"""What each defense needs of a machine: memory, and seconds of work per second of audio.

    python benchmarks/sizing.py                  # on an idle machine
    python benchmarks/sizing.py --defense mdnf --defense wgn --model ds2-an4
    python benchmarks/sizing.py --defense mdnf --seconds 60      # memory of the longest recording

Each row is a process of its own, which defends the recordings of the demo corpus one by one, as
``melmoat serve`` does. RTF is the real-time factor: seconds of work per second of audio, the median
of the rounds. With one thread it is the share of a core that a caller who speaks without pause
needs. ``stream`` is the same for live audio in pieces of 100 ms, with its latency: the samples by
which the output lags, without the time to compute. With --model, the transcripts of the defended
recognizer follow, in batches of 8.

CPU is CPU time per second of audio. Where it exceeds the RTF of one thread, other work disturbed
the measurement, or a library has threads of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import torch

from melmoat import data, defenses, models
from melmoat.audio import RATE, Audio
from melmoat.defenses import Streamed
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.memory import for_any_length
from melmoat.models.base import transcribe

DEFENSES = [
    "none",
    "wgn",
    "wgn:sigma=0.01",
    "mdnf",
    "mdnf:vocoder=pwg-lab",
    "resynth",
    "resynth:vocoder=pwg-lab",
    "resynth:vocoder=griffin-lim",
    "stft",
    "stft-flood",
    "diffusion",
    "lpc",
    "filter:low=300,high=3400",
    "downsample",
    "compress",
    "smooth",
    "median",
    "quantize:gradient=bpda",
    "mulaw",
    "codec",
    "codec:kind=opus,quality=0.05",
]
VOTES = ["rs:snr=15,votes=5"]  # only with a recognizer
PIECE = RATE // 10  # 100 ms
HEAD = "| | threads | memory, MB | RTF | CPU | stream latency, ms | stream RTF |"


def measured(work: Callable[[], object], seconds: float, rounds: int) -> tuple[float, float]:
    """Median wall time and CPU time per second of audio, after one round to warm up."""
    work()
    walls, cpus = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append((time.perf_counter() - wall) / seconds)
        cpus.append((time.process_time() - cpu) / seconds)
    return statistics.median(walls), statistics.median(cpus)


def one(spec: str, model: str | None, rounds: int, length: float) -> dict[str, float | None]:
    """The figures of one defense, in this process."""
    made = defenses.build(spec)
    cuts = list(data.load("demo"))
    recordings = [data.read([cut]) for cut in cuts]
    if length:
        noise = torch.randn(round(length * RATE), generator=torch.Generator().manual_seed(0))
        recordings = [Audio.of([0.1 * noise])]
    seconds = sum(float(one.seconds) for one in recordings)
    latency = live = None
    with torch.no_grad():
        if model:
            system = made.wrap(models.load(model))
            batches = [data.read(cuts[i : i + 8]) for i in range(0, len(cuts), 8)]

            def work() -> None:
                for batch in batches:
                    transcribe(system, batch, Draws(range(len(batch))))

        else:
            front = defenses.function_of_audio(made)
            assert front is not None

            def work() -> None:
                for recording in recordings:
                    front(recording, Draws([0]))

            latency, live = streamed(front, recordings[0].wav[0], rounds)
        rtf, cpu = measured(work, seconds, rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    megabytes = peak / (1e6 if sys.platform == "darwin" else 1e3)
    return {"memory": megabytes, "rtf": rtf, "cpu": cpu, "latency": latency, "live": live}


def streamed(
    front: defenses.FrontEnd, wave: torch.Tensor, rounds: int
) -> tuple[float | None, float | None]:
    """Latency in ms and RTF of a live stream; None where it cannot be one."""
    try:
        live = Streamed(front, RATE)
    except MelmoatError:
        return None, None

    def work() -> None:
        for piece in wave.split(PIECE):
            live.push(piece)

    return 1e3 * live.latency / RATE, measured(work, len(wave) / RATE, rounds)[0]


def in_its_own_process(spec: str, threads: int, asked: argparse.Namespace, model: str) -> str:
    """A row of the table."""
    words = [sys.executable, __file__, "--one", spec, "--rounds", str(asked.rounds)]
    words += ["--model", model] if model else ["--seconds", str(asked.seconds)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    run = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    latency = "" if found["latency"] is None else f"{found['latency']:.0f}"
    live = "" if found["live"] is None else f"{found['live']:.3f}"
    name = f"`{spec}`" + (f" before `{model}`" if model else "")
    return (
        f"| {name} | {threads} | {found['memory']:.0f} | {found['rtf']:.4f} | "
        f"{found['cpu']:.4f} | {latency} | {live} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--defense", action="append", metavar="SPEC")
    parser.add_argument("--model", default="", help="also transcribe with this recognizer")
    parser.add_argument("--seconds", type=float, default=0, help="one recording of such a length")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, action="append", help="by default 1 and all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.seconds and asked.model:
        parser.error("--seconds is for defenses alone; leave out --model")
    for_any_length()
    if asked.one:
        print(json.dumps(one(asked.one, asked.model or None, asked.rounds, asked.seconds)))
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    speech = f"{asked.seconds:g} s of noise" if asked.seconds else "demo corpus"
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(
        f"{platform.processor() or platform.machine()}, {cores} cores, load {load}, torch "
        f"{torch.__version__}, {speech}, median of {asked.rounds} rounds\n\n{HEAD}"
    )
    print("|---" * (HEAD.count("|") - 1) + "|")
    specs = asked.defense or DEFENSES
    rows = [(spec, "") for spec in specs if not spec.startswith(("rs", "voted"))]
    if asked.model:
        rows += [(spec, asked.model) for spec in asked.defense or ["none", "mdnf", *VOTES]]
    for spec, model in rows:
        for threads in asked.threads or sorted({1, cores or 1}):
            print(in_its_own_process(spec, threads, asked, model), flush=True)


if __name__ == "__main__":
    main()

"""How waiting threads share the cores with other programs: time of an attack, idle and busy.

Run it on an idle machine: ``python benchmarks/threads.py``. Each attack is a process of its own.
Its waiting threads spin as OpenMP lets them, or sleep soon (melmoat.threads). The busy machine has
a loop on each core beside the attack. Ratios are medians of pairs that are timed in turn.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from melmoat.threads import SPINS

ATTACK = """
import time, torch
from melmoat import attacks, data, defenses, models
from melmoat.draws import Draws
cut = min(data.load("demo"), key=lambda cut: cut.duration)
speech, text = data.read([cut]), [data.written(cut)]
system = defenses.build("mdnf").wrap(models.load("ds2-an4"))
attack = attacks.build("pgd:db=30,steps=3")
goal = attack.goal(text, text, lambda: text)
attack(system, speech, goal, Draws([0]))
began = time.perf_counter()
attack(system, speech, goal, Draws([0]))
print(time.perf_counter() - began)
"""
POLICIES = {"spinning": {}, "sleeping soon": {"GOMP_SPINCOUNT": SPINS}}


@contextmanager
def busy(loops: int) -> Iterator[None]:
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def seconds(policy: dict[str, str]) -> float:
    plain = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    run = subprocess.run(
        [sys.executable, "-c", ATTACK], env=plain | policy, check=True, capture_output=True
    )
    return float(run.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    cores = os.cpu_count() or 1
    for what, loops in (("idle", 0), (f"busy, {cores} loops", cores)):
        with busy(loops):
            pairs = [[seconds(policy) for policy in POLICIES.values()] for _ in range(given.rounds)]
        ratios = sorted(spin / sleep for spin, sleep in pairs)
        spin, sleep = (statistics.median(times) for times in zip(*pairs, strict=True))
        print(
            f"{what}: spinning over sleeping soon {statistics.median(ratios):.2f} "
            f"[{ratios[0]:.2f}, {ratios[-1]:.2f}], {spin:.2f} s / {sleep:.2f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""Threads that wait for each other, on a machine that does other work, too."""

from __future__ import annotations

import os

SPINS = "300"  # of a waiting thread, before it sleeps


def sleep_soon() -> None:
    """Let OpenMP's threads sleep soon when they wait for each other.

    By default they spin for a while, which is some percent faster on an idle machine. On a busy one
    a thread that spins holds the core that the other thread needs, and a step can take many times
    as long (``benchmarks/threads.py``). Results are the same.

    Call it before torch is imported, whose OpenMP (libgomp) reads the setting then. The command
    line does; importing melmoat does not. If the user has set a policy, that stays.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
        os.environ["GOMP_SPINCOUNT"] = SPINS

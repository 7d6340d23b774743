"""Keeps freed memory in the process for the next step, instead of returning it.

A gradient step allocates and frees gigabytes of activations. glibc returns every large block to the
system at once, which hands it out again as pages that fault one by one: on long utterances this
takes more time than the arithmetic (``benchmarks/speed.py`` counts the faults).
"""

from __future__ import annotations

import ctypes
import os
import sys

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4  # parameters of mallopt, malloc.h


def keep_freed_memory() -> bool:
    """Let this process keep what it frees. Its peak may grow by a third, through fragments.

    It is for processes that repeat one step for a long time: the bench, training and ``melmoat
    defend`` call it. Importing melmoat does not. Without glibc it does nothing.

    Returns:
        whether it was done.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        _ = ctypes.CDLL(None).gnu_get_libc_version
    except AttributeError:  # another C library
        return False
    wanted = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 1 << 26}
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted.items())


def for_any_length() -> None:
    """Let this process, a server, keep what it frees, but not a program of oneDNN for each shape:
    memory would grow with every length of a recording.

    Call it before torch is imported, which reads the setting then. One that is set already stays.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "8")
    keep_freed_memory()

"""Freed memory is used again instead of being handed back to the system."""

import platform
import subprocess
import sys

import pytest

# Faults of filling a block of 64 MiB (16,384 pages) that was used and freed before. The first few
# uses leave small remainders behind them, so that the block moves on.
LATER_USE = """
import resource, sys, torch
from melmoat.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory()
def use():
    torch.ones(1 << 24)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
uses = [use() for _ in range(32)]
print(uses[-1] - uses[-2])
"""


def faults(how: str) -> int:
    command = [sys.executable, "-c", LATER_USE, how]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
@pytest.mark.slow
def test_a_freed_block_is_kept() -> None:
    assert faults("keep") * 20 < faults("leave")

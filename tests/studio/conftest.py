"""The page as a process of its own, as `melmoat studio` starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

Serve = Callable[..., AbstractContextManager[str]]


@contextmanager
def _served(*options: str) -> Iterator[str]:
    command = [sys.executable, "-m", "melmoat", "studio", "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stderr
        said = []
        for line in server.stderr:
            said.append(line)
            if found := re.search(r"running on (\S+)", line):
                break
        else:
            pytest.fail("".join(said))
        yield found[1]
        server.terminate()
        server.communicate(timeout=30)


@pytest.fixture(scope="session")
def served() -> Serve:
    """Serves a page with these options; gives its address."""
    return _served

"""Files that one process holds against all others."""

from __future__ import annotations

import fcntl
from typing import IO


def hold(file: IO[bytes], busy: Exception | None = None) -> None:
    """Hold an open file until it is closed or the process ends, however that may be.

    Where another process holds it, wait, or raise ``busy``.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
    except BlockingIOError as error:
        assert busy is not None
        raise busy from error

"""Progress reports of long work.

Library code only calls back and prints nothing. It calls ``progress(done, total, what)`` with the
finished and the total number of utterances, and the name of the current work.
"""

from __future__ import annotations

import time
from collections.abc import Callable

Progress = Callable[[float, float, str], None]


def silent(done: float, total: float, what: str) -> None:
    """Report nothing."""


class Lines:
    """Progress as text: one line per minute, for logs.

    Args:
        say: gets each line, such as ``print``.
        every: seconds between two lines.
        clock: seconds that have passed.

    >>> now = iter([0.0, 30.0, 60.0, 61.0])
    >>> lines = Lines(print, clock=lambda: next(now))
    >>> for done in (1, 2, 3):
    ...     lines(done, 8, "rs / pgd")
    2 of 8 done, 6 left, about 3 min to go: rs / pgd
    """

    def __init__(
        self,
        say: Callable[[str], None],
        every: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.say, self.every, self.clock = say, every, clock
        self.last = clock()
        self.total, self.began, self.first, self.done = 0.0, self.last, 0.0, 0.0

    def __call__(self, done: float, total: float, what: str) -> None:
        now = self.clock()
        left = max(total - done, 0.0)  # sums of parts of utterances may end a little above
        if total != self.total or done < self.done:  # other work, or a retry: its own pace
            self.total, self.began, self.first = total, now, done
        self.done = done
        if now - self.last < self.every:
            return
        self.last = now
        new = done - self.first
        rest = (now - self.began) * left / new if new > 0 else None
        eta = "" if rest is None else f", about {span(rest)} to go"
        self.say(f"{done:.0f} of {total:.0f} done, {left:.0f} left{eta}: {what}")


def span(seconds: float) -> str:
    """A duration as text.

    >>> span(40), span(250), span(8000)
    ('40 s', '4 min', '2.2 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""How much an attack may change: the levels of the standard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Level:
    """A budget relative to the level of each utterance.

    Args:
        norm: ``l2``: an SNR of at least ``db``. ``linf``: no sample changes by more than a limit;
            a change of all samples by this limit has an SNR of ``db``.
    """

    norm: Literal["l2", "linf"]
    db: float

    @property
    def name(self) -> str:
        """Such as ``l2 20 dB``."""
        return f"{self.norm} {self.db:g} dB"

    @property
    def budget(self) -> str:
        """The options of an attack."""
        return f"db={self.db:g}" if self.norm == "l2" else f"norm=linf,db={self.db:g}"

    def contains(self, other: Level) -> bool:
        """Whether every perturbation of ``other`` is allowed here, too.

        ``||d||_2 <= sqrt(T) ||d||_inf``, and the limit of linf is ``rms(x)`` times a factor, where
        ``sqrt(T) rms(x) = ||x||_2``: the linf box lies in the l2 ball of the same number of dB.
        """
        return (self.norm == "l2" or other.norm == "linf") and self.db <= other.db


L2 = tuple(Level("l2", db) for db in (40.0, 30.0, 20.0))
LINF = Level("linf", 30.0)
QUIET = (Level("l2", 50.0), Level("l2", 60.0))  # each only where half of the words fall above it
LARGE = Level("l2", 10.0)  # must break everything; tried only where 20 dB does not


def in_order(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    """Those first that others contain, so that what breaks them is known when these are tried."""
    return tuple(sorted(levels, key=lambda level: (-level.db, level.norm == "l2")))

"""Networks that take noise out of speech, with their published weights."""

from melmoat.denoisers.dtln import DTLN
from melmoat.denoisers.gtcrn import GTCRN

__all__ = ["DTLN", "GTCRN"]

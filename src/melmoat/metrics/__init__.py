"""Metrics: errors, distortion, and confidence intervals of rates."""

from melmoat.metrics.distortion import l2, linf, snr_db
from melmoat.metrics.errors import char_edits, unit_of, word_edits, word_operations
from melmoat.metrics.intervals import Difference, bootstrap, needed, paired, rate

__all__ = [
    "Difference",
    "bootstrap",
    "char_edits",
    "l2",
    "linf",
    "needed",
    "paired",
    "rate",
    "snr_db",
    "unit_of",
    "word_edits",
    "word_operations",
]

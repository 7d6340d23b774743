"""Whether the attackers had the gradient of the system itself."""

from __future__ import annotations

from typing import Literal

from melmoat.standard.result import Result
from melmoat.standard.verdict import NONE_FLOWS

Slope = Literal["exact", "stand-in", "none"]


def slope_of(result: Result) -> Slope:
    """What the gradient members of the ensemble followed, by what the run found.

    ``exact``: one graph from the loss to the waveform. ``stand-in``: none flows through a part of
    the system, and they took BPDA or another one that its backward pass has. ``none``: a check
    found that the gradient is missing or of no use.
    """
    found = {finding.check: finding for finding in result.findings}
    exact = found["exact gradient"]
    if "sign" in (exact.status, found["live gradient"].status):
        return "none"
    swapped = any(m.member == "apgd" and m.defense != result.defense for m in result.members)
    return "stand-in" if swapped or exact.text.startswith(NONE_FLOWS) else "exact"

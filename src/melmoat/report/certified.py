"""Certificates as a table for the terminal, and as curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from rich.console import Group
from rich.table import Table
from rich.text import Text

from melmoat.certificates import Certificate
from melmoat.certificates import Table as Certified
from melmoat.report.plots import COLORS, figure

POINTS = 200  # of a curve


def certified(found: Certified) -> Group:
    """What holds at some radii, and what the smoothed systems cost on clean audio."""
    table = Table()
    for head in ("l2 up to", "SNR dB", "vote right %", "vote WER %"):
        table.add_column(head, justify="right")
    for head in ("center moved", "center WER %"):
        table.add_column(head, justify="right")
    for radius in found.radii:
        snr = found.snr_db(radius)
        table.add_row(
            f"{radius:.4g}",
            "" if snr is None else f"{snr:.1f}",
            at_least(found.certified_right(radius)),
            at_most(found.certified_wer("vote", radius)),
            _moved(found.certificates, radius),
            at_most(found.certified_wer("center", radius)),
        )
    return Group(table, *map(Text, _notes(found)))


def _notes(found: Certified) -> list[str]:
    plan, count = found.plan, len(found.certificates)
    clean = {name: found.wer(name) for name in ("benign", "vote", "center")}
    said = ", ".join(f"{name} {wer:.1f}" for name, wer in clean.items() if wer is not None)
    return [
        f"with {plan.confidence:g} % confidence, all of the table at once: {count} utterances, "
        f"sigma {plan.sigma:g}, {plan.draws} draws to certify, 2 x {plan.center_draws} for centers",
        f"clean WER % (capped): {said} (benign: one pass without noise)",
        f"abstained on clean audio: vote {found.abstentions('vote')}, "
        f"center {found.abstentions('center')} of {count}; all their words count as errors",
        "vote: the commonest transcript under noise. center: a center of the transcripts; moved: "
        "median of the most words, '-' without a bound. A call on attacked audio may abstain",
    ]


def at_least(percent: float, decimals: int = 1) -> str:
    """A lower bound, never rounded to the side that claims more than was proved.

    >>> at_least(66.67), at_least(66.67, 0), at_least(100 * 0.29)
    ('>= 66.6', '>= 66', '>= 29.0')
    """
    return f">= {_rounded(math.floor, percent, decimals)}"


def at_most(percent: float | None, decimals: int = 1) -> str:
    """An upper bound, rounded as in :func:`at_least`; an empty text where there is none.

    >>> at_most(17.24), at_most(17.24, 0), at_most(None)
    ('<= 17.3', '<= 18', '')
    """
    return "" if percent is None else f"<= {_rounded(math.ceil, percent, decimals)}"


def _rounded(towards: Callable[[float], int], percent: float, decimals: int) -> str:
    steps = 10**decimals
    whole = towards(round(steps * percent, 6))  # but for float errors, as of 100 * 0.29
    return f"{whole / steps:.{decimals}f}"


def _moved(certificates: Sequence[Certificate], radius: float) -> str:
    """The median of the words by which a center may move; utterances without a bound are worst."""
    words = [c.moved(radius) for c in certificates]
    middle = median(float("inf") if n is None else n for n in words)
    return "-" if middle == float("inf") else f"<= {middle:g} words"


def curve(path: Path, found: Certified) -> None:
    """Certified word error rates against the radius.

    Raises:
        MelmoatError: matplotlib is not installed, or ``path`` cannot be written.
    """
    last = 1.05 * max(found.radii[-1], found.plan.sigma)
    radii = [last * i / POINTS for i in range(POINTS + 1)]
    lines: list[tuple[str, Callable[[float], float | None]]] = [
        ("vote", lambda radius: found.certified_wer("vote", radius)),
        ("center", lambda radius: found.certified_wer("center", radius)),
    ]
    with figure(path, 6.0, 3.6) as (ax,):
        for color, (name, wer) in zip(COLORS, lines, strict=False):
            values = [value if (value := wer(r)) is not None else float("nan") for r in radii]
            ax.step(radii, values, where="post", color=color, label=name)
        ax.set_xlabel("l2 norm of the perturbation")
        ax.set_ylabel("certified WER % (upper bound, capped)")
        ax.set_ylim(0, 105)
        ax.set_title(f"{found.plan.confidence:g} % confidence, sigma {found.plan.sigma:g}", size=9)
        ax.legend(frameon=False)

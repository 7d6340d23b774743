"""Audits and comparisons for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from melmoat.bench.audit import Audited
from melmoat.bench.results import Comparison, p_text

STYLES = {
    "ok": "green",
    "sign": "bold red",
    "open": "yellow",
    "missing": "yellow",
    "n/a": "dim",
    "suspect": "bold red",
    "incomplete": "yellow",
    "no sign found": "green",
}


def findings(audited: Iterable[Audited]) -> list[Group]:
    """One table for each defended row: what was looked for, what was found, on what numbers."""
    return [_row(row) for row in audited]


def _row(row: Audited) -> Group:
    title = Text.assemble(
        (f"{row.model} / {row.defense} on {row.data}, seed {row.seed}: ", "bold"),
        (row.verdict, STYLES[row.verdict]),
    )
    table = Table(show_header=True)
    table.add_column("check", overflow="fold")
    table.add_column("", no_wrap=True)
    table.add_column("evidence", overflow="fold", ratio=1)
    for finding in row.findings:
        lines = [finding.text, *(figure_text(figure) for figure in finding.figures)]
        status = Text(finding.status, style=STYLES[finding.status])
        table.add_row(Text(finding.check), status, Text("\n".join(lines)))
    return Group(title, table)


def figure_text(figure: Comparison) -> str:
    """A comparison with the number of utterances that would settle it, where it does not."""
    d = figure.difference
    if d is None or figure.needed is None or not (d.low <= 0 <= d.high):
        return str(figure)
    return f"{figure}; {figure.needed} utterances would settle it"


def comparisons(found: Sequence[Comparison]) -> Table:
    """Differences with their intervals over utterances and over speakers."""
    table = Table(title="WER, first minus second, percentage points", title_justify="left")
    table.add_column("first", overflow="fold")
    table.add_column("second", overflow="fold")
    for name in ("difference", "over speakers", "p", "n", "needed"):
        table.add_column(name, justify="right", overflow="fold")
    for c in found:
        cells = [Text(c.ours), Text(c.other)]
        table.add_row(*cells, *(Text(text) for text in comparison_cells(c)))
    return table


def comparison_cells(c: Comparison) -> list[str]:
    """Difference, interval over speakers, p, utterances in common, utterances needed."""
    d = c.difference
    if d is None:
        return ["-", "-", "-", str(c.n), "-"]
    points = f"{d.points:+.1f} [{d.low:+.1f}, {d.high:+.1f}]"
    s = c.by_speaker
    speakers = f"[{s.low:+.1f}, {s.high:+.1f}], {c.speakers} speakers" if s else "-"
    return [points, speakers, p_text(d.p).removeprefix("= "), str(c.n), str(c.needed or "-")]

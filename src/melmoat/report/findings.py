"""Audits and comparisons for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from melmoat.bench.audit import Audited
from melmoat.bench.evidence import ENOUGH
from melmoat.bench.results import SEP, Comparison, p_text

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
    return f"{figure}; {max(figure.needed, ENOUGH)} utterances would settle it"


def comparisons(found: Sequence[Comparison]) -> Group:
    """Differences with their intervals over utterances and over speakers, a table for each attack.

    What all rows of a table share, the recognizer or the attack, stands in its title alone.
    """
    sides = [(c.ours.split(SEP), c.other.split(SEP)) for c in found]
    models = {side[0] for pair in sides for side in pair}
    tables: dict[str, list[tuple[Comparison, list[str]]]] = {}
    for c, pair in zip(found, sides, strict=True):
        attacks = {side[-1] for side in pair}
        keep = slice(len(models) == 1, -1 if len(attacks) == 1 else None)
        tables.setdefault(attacks.pop() if len(attacks) == 1 else "", []).append(
            (c, [SEP.join(side[keep]) for side in pair])
        )
    shared = models.pop() if len(models) == 1 else ""
    return Group(*(_differences(shared, attack, rows) for attack, rows in tables.items()))


def _differences(model: str, attack: str, rows: Sequence[tuple[Comparison, list[str]]]) -> Group:
    columns = ["difference", "over speakers", "p", "n", "needed"]
    cells = [comparison_cells(c) for c, _ in rows]
    known = [i for i in range(len(columns)) if any(line[i] != "-" for line in cells)]
    table = Table()
    table.add_column("first", overflow="fold")
    table.add_column("second", overflow="fold")
    for i in known:
        table.add_column(columns[i], justify="right", overflow="fold", no_wrap=i == 0)
    for (_, names), line in zip(rows, cells, strict=True):
        table.add_row(*(Text(text) for text in [*names, *(line[i] for i in known)]))
    where = ", ".join(part for part in (model, f"attack {attack}" if attack else "") if part)
    against = " against the target" if rows[0][0].against == "target" else ""
    title = f"WER{against}, first minus second, percentage points"
    return Group(Text(f"{where}: {title}" if where else title, style="bold"), table)


def comparison_cells(c: Comparison) -> list[str]:
    """Difference, interval over speakers, p, utterances in common, utterances needed.

    A star at p marks what stands among all the comparisons that were made.
    """
    d = c.difference
    if d is None:
        return ["-", "-", "-", str(c.n), "-"]
    points = f"{d.points:+.1f} [{d.low:+.1f}, {d.high:+.1f}]"
    s = c.by_speaker
    speakers = f"[{s.low:+.1f}, {s.high:+.1f}], {c.speakers} speakers" if s else "-"
    p = p_text(d.p).removeprefix("= ") + ("*" if c.among > 1 and c.stands else "")
    return [points, speakers, p, str(c.n), str(c.needed or "-")]


def star(among: int) -> str:
    """What the star at a p-value says."""
    return f"*: p below 0.05 / {among}, a difference even as one of {among} (Bonferroni)"

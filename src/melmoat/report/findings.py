"""Audits and comparisons for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_uppercase

from rich.console import Group
from rich.table import Table
from rich.text import Text

from melmoat.analysis.audit import Audited
from melmoat.analysis.evidence import ENOUGH
from melmoat.analysis.results import SEP, Comparison, p_text

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
    """One table per defended row: the checks, their findings and the numbers behind them."""
    return [_row(row) for row in audited]


def _row(row: Audited) -> Group:
    title = Text.assemble(
        (f"{row.name} on {row.data_name}, seed {row.seed}: ", "bold"),
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
    """A comparison; if it is open, with the number of utterances that would settle it."""
    d = figure.difference
    if d is None or figure.needed is None or not (d.low <= 0 <= d.high):
        return str(figure)
    return f"{figure}; {max(figure.needed, ENOUGH)} utterances would settle it"


def comparisons(compared: Sequence[Comparison]) -> Group:
    """Differences with their intervals over utterances and over speakers, one table per attack.

    Names are too long for a terminal, so each name is listed once above the table, with a letter. A
    recognizer or an attack that all rows share is named in the title only.
    """
    sides = [(c.ours.split(SEP), c.other.split(SEP)) for c in compared]
    models = {side[0] for pair in sides for side in pair}
    letters: dict[str, str] = {}
    tables: dict[str, list[tuple[str, Comparison]]] = {}
    for c, pair in zip(compared, sides, strict=True):
        attacks = {side[-1] for side in pair}
        keep = slice(len(models) == 1, -1 if len(attacks) == 1 else None)
        names = [SEP.join(side[keep]) for side in pair]
        first, second = (letters.setdefault(name, _letter(len(letters))) for name in names)
        attack = attacks.pop() if len(attacks) == 1 else ""
        tables.setdefault(attack, []).append((f"{first} - {second}", c))
    wide = max(map(len, letters.values()))
    legend = Text("\n".join(f"{letter:>{wide}}  {name}" for name, letter in letters.items()))
    shared = models.pop() if len(models) == 1 else ""
    return Group(
        legend, "", *(_differences(shared, attack, rows) for attack, rows in tables.items())
    )


def _letter(number: int) -> str:
    """A to Z, then AA, AB, and so on.

    >>> _letter(0), _letter(25), _letter(26)
    ('A', 'Z', 'AA')
    """
    rest, last = divmod(number, len(ascii_uppercase))
    return (_letter(rest - 1) if rest else "") + ascii_uppercase[last]


def _differences(model: str, attack: str, rows: Sequence[tuple[str, Comparison]]) -> Group:
    columns = ["difference", "over speakers", "p", "n", "needed", "told apart"]
    cells = [_agreed(c) for _, c in rows]
    known = [i for i in range(len(columns)) if any(line[i] != "-" for line in cells)]
    table = Table()
    table.add_column("")
    for i in known:
        table.add_column(columns[i], justify="right")
    for (pair, _), line in zip(rows, cells, strict=True):
        table.add_row(*(Text(text) for text in [pair, *(line[i] for i in known)]))
    where = ", ".join(part for part in (model, f"attack {attack}" if attack else "") if part)
    against = " against the target" if rows[0][1].against == "target" else ""
    title = f"{rows[0][1].metric}{against}, first minus second, percentage points"
    return Group(Text(f"{where}: {title}" if where else title, style="bold"), table)


def _agreed(c: Comparison) -> list[str]:
    """:func:`comparison_cells` without the parts that contradict the verdict, and the verdict.

    For few utterances the bootstrap interval is too short, and ``needed``, which assumes a normal
    distribution, is too small. The sign-flip test is valid for any number.
    """
    points, speakers, p, n, enough = comparison_cells(c)
    d = c.difference
    if d is None:
        return [points, speakers, p, n, enough, "-"]
    told_apart = d.p < 0.05 and (c.n < ENOUGH or not d.low <= 0 <= d.high)
    if c.n < ENOUGH:
        points, speakers = f"{d.points:+.1f}", "-"
    if c.needed is not None and not told_apart:
        enough = f"> {c.n}" if c.needed <= c.n else str(max(c.needed, ENOUGH))
    return [points, speakers, p, n, enough, "yes" if told_apart else "no"]


def comparison_cells(c: Comparison) -> list[str]:
    """Difference, interval over speakers and their number, p, common utterances, and needed.

    A star at p marks a difference that stands among all comparisons.
    """
    d = c.difference
    if d is None:
        return ["-", "-", "-", str(c.n), "-"]
    points = f"{d.points:+.1f} [{d.low:+.1f}, {d.high:+.1f}]"
    s = c.by_speaker
    speakers = f"[{s.low:+.1f}, {s.high:+.1f}] ({c.speakers})" if s else "-"
    p = p_text(d.p).removeprefix("= ") + ("*" if c.among > 1 and c.stands else "")
    return [points, speakers, p, str(c.n), str(c.needed or "-")]


def star(among: int) -> str:
    """The meaning of the star at a p-value."""
    return f"*: p below 0.05 / {among}, so it stands among {among} comparisons (Bonferroni)"

"""Tables for the terminal and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from melmoat.bench.cell import Cell
from melmoat.bench.estimate import Estimate
from melmoat.bench.labels import shown, system
from melmoat.bench.suite import Suite
from melmoat.progress import span

Summary = Sequence[Mapping[str, Any]]


def robustness(summary: Summary) -> list[Group]:
    """One table per corpus and seed: defended models down, attacks across, WER with its
    interval."""
    groups = dict.fromkeys(_group(cell) for cell in summary)
    return [_table([c for c in summary if _group(c) == group]) for group in groups]


def costs(estimates: Sequence[Estimate], labels: Mapping[Cell, tuple[str, str]]) -> Group:
    """The remaining work of a run and its estimated time, one line per unfinished cell.

    Args:
        labels: row and column of a suite's cells; other cells are named by their specs.
    """
    left = [estimate for estimate in estimates if estimate.missing]
    several = len({estimate.cell.data for estimate in estimates}) > 1
    timed = [estimate for estimate in left if not estimate.failed]
    total = (
        f": about {span(sum(estimate.seconds for estimate in timed))} on one worker of this machine"
    )
    unknown = f", without {len(left) - len(timed)} that could not be timed"
    cells = "1 cell" if len(estimates) == 1 else f"{len(estimates)} cells"
    summary = f"{cells}, {len(left)} unfinished"
    parts: list[Table | Text] = []
    if left:
        table = Table()
        heads = ("row", "column") if labels else ("model", "defense", "attack")
        for head in (*heads, *(["data"] if several else [])):
            table.add_column(head, overflow="fold")
        table.add_column("utterances", justify="right")
        table.add_column("time", justify="right")
        for estimate in left:
            cell = estimate.cell
            names = labels.get(cell) or (cell.model, cell.defense, cell.attack)
            where = [shown("data", cell.data)] if several else []
            time = estimate.failed or span(estimate.seconds)
            table.add_row(*map(Text, [*names, *where, str(estimate.missing), time]))
        parts.append(table)
        summary += (total if timed else "") + (unknown if len(timed) < len(left) else "")
    return Group(*parts, Text(summary, style="bold"))


def _group(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return cell["data"], cell["seed"]


class _Fitted(Table):
    """A table whose heads break after commas where it is wider than the terminal: else a spec would
    break within a word."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if Measurement.get(console, options.update(max_width=10_000), self).maximum > (
            options.max_width
        ):
            for column in self.columns:
                column.header = Text(re.sub(r",(?!\s)", ",\n", str(column.header)))
        yield from super().__rich_console__(console, options)


def _table(cells: Summary) -> Group:
    most = max(c["n"] for c in cells)
    table = _Fitted()
    heads, lines = grid(cells)
    for head in heads:
        table.add_column(head, overflow="fold")
    columns = list(dict.fromkeys(c["attack"] for c in cells))
    for attack in columns:
        table.add_column(Text(attack_name(cells, attack)), justify="right", overflow="fold")
    for names, cells_of_row in lines:
        row = [_cell(cells_of_row.get(attack), most) for attack in columns]
        table.add_row(*map(Text, names), *row)
    notes = ["[low, high]: 95 % bootstrap interval over utterances"]
    notes += [
        f"{system(c['model'], c['defense'], c.get('labels'))} / "
        f"{shown('attack', c['attack'], c.get('labels'))}: {_target(c)}"
        for c in cells
        if _aimed(c)
    ]
    return Group(Text(title(cells), style="bold"), table, Text("\n".join(notes), style="dim"))


def title(cells: Summary) -> str:
    """The title of a table of one corpus and seed."""
    counted = sorted({c["n"] for c in cells})
    count = " to ".join(str(n) for n in dict.fromkeys([counted[0], counted[-1]]))
    first = cells[0]
    models = ", ".join(dict.fromkeys(shown("model", c["model"], c.get("labels")) for c in cells))
    data = shown("data", first["data"], first.get("labels"))
    seed = f", seed {first['seed']}" if first["seed"] else ""
    return f"{metric_of(cells)} %, {models} on {data}{seed}, {count} utterances"


Line = tuple[list[str], dict[str, Mapping[str, Any]]]


def grid(cells: Summary) -> tuple[list[str], list[Line]]:
    """The rows of a table of one corpus and seed.

    Returns:
        The heads of the columns that name a row; and for each row its names and its cells by
        attack. If all rows have labels, these are the names. A single model is named in the title.
    """
    rows: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for cell in cells:
        rows.setdefault((cell["model"], cell["defense"]), {})[cell["attack"]] = cell
    if all("system" in (c.get("labels") or {}) for c in cells):
        return ["system"], [([_first(row)["labels"]["system"]], row) for row in rows.values()]
    single = len({model for model, _ in rows}) == 1
    heads = ["defense"] if single else ["model", "defense"]
    lines = []
    for row in rows.values():
        cell = _first(row)
        lines.append(([shown(head, cell[head], cell.get("labels")) for head in heads], row))
    return heads, lines


def attack_name(cells: Summary, attack: str) -> str:
    """The name of an attack in these cells."""
    names = (shown("attack", attack, c.get("labels")) for c in cells if c["attack"] == attack)
    return next(names, attack)


def _first(row: Mapping[str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return next(iter(row.values()))


def headline(cell: Mapping[str, Any]) -> str:
    """The key of a summary's main rate: ``wer``, or ``cer`` if the summary says so."""
    return str(cell.get("headline", "wer"))


def metric_of(cells: Iterable[Mapping[str, Any]]) -> str:
    """The rate of a table: WER, CER, or both if its texts have several scripts.

    >>> metric_of([{}, {"headline": "cer"}]), metric_of([])
    ('WER / CER', 'WER')
    """
    return " / ".join(dict.fromkeys(headline(cell).upper() for cell in cells)) or "WER"


def _rate(cell: Mapping[str, Any], which: str) -> float | None:
    """The main rate of a summary against another text."""
    value: float | None = cell.get(f"{which}_{headline(cell)}")
    return value


def _cell(cell: Mapping[str, Any] | None, most: int) -> Text:
    if cell is None or cell[headline(cell)] is None:
        return Text("-")
    name = headline(cell)
    lines = [f"{cell[name]:.1f}"]
    if cell[f"{name}_low"] is not None:
        lines.append(f"[{cell[f'{name}_low']:.1f}, {cell[f'{name}_high']:.1f}]")
    if cell.get("per") is not None:
        lines.append(f"PER {cell['per']:.1f}")
    if cell["n"] < most:
        lines.append(f"n = {cell['n']}")
    return Text("\n".join(lines))


def markdown(suite: Suite, measured: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """WER in percent with 95 % bootstrap intervals over utterances; the paper's in italics. CER if
    the texts are written without spaces between words.

    After a targeted attack's WER comes the WER against its target, which is high for a good
    defense, and the share of transcripts that equal the target (a transcript that repeats it many
    times has a high WER). A cell with fewer utterances than others of the table says so.

    A recognizer of phonemes that writes words has a second table: PER, the errors in phonemes.
    """
    words = _markdown(suite, measured, metric_of(measured.values()), wer, paper=True)
    if not any(cell.get("per") is not None for cell in measured.values()):
        return words
    return words + "\n\n" + _markdown(suite, measured, "PER", per)


def _markdown(
    suite: Suite,
    measured: Mapping[tuple[str, str], Mapping[str, Any]],
    metric: str,
    written: Callable[[Mapping[str, Any] | None, int], str],
    paper: bool = False,
) -> str:
    most = max((cell["n"] for cell in measured.values()), default=0)
    columns = list(suite.columns)
    lines = [
        f"| {metric} % | {' | '.join(columns)} |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for row in suite.rows:
        ours = [
            written(measured.get((row.label, column)), most) if suite.faces(row, column) else ""
            for column in columns
        ]
        if metric == "PER" and not {*ours} - {"", "-"}:
            continue  # no recognizer of phonemes, or nothing measured: the table above says so
        lines.append(f"| {row.label} | {' | '.join(ours)} |")
        if paper and row.paper:
            theirs = [_paper(row.paper.get(c), row.target.get(c)) for c in columns]
            lines.append(f"| *{row.label}, paper* | {' | '.join(theirs)} |")
    return "\n".join(lines)


def _paper(wer: float | None, target: float | None) -> str:
    if wer is None:
        return ""
    return f"*{wer:.1f}*" if target is None else f"*{wer:.1f}, target {target:.1f}*"


def wer(cell: Mapping[str, Any] | None, most: int = 0) -> str:
    """A cell's WER (or CER) with its interval; "-" if it is not measured. A targeted attack also
    has the rate against the target and the share of transcripts that equal it. ``n`` is added if it
    is below ``most``.

    >>> low_high = {"wer_low": 3.04, "wer_high": 9.2}
    >>> wer({"wer": 5.91, **low_high, "n": 20}, 40), wer(None)
    ('5.9 [3.0, 9.2], n = 20', '-')
    >>> wer({"wer": 98.0, **low_high, "target_wer": 80.0, "reached": 25.0, "n": 40}, 40)
    '98.0 [3.0, 9.2], target 80.0 (reached: 25 %)'
    >>> wer({"wer": 98.0, **low_high, "silence": True, "reached": 25.0, "n": 40}, 40)
    '98.0 [3.0, 9.2], target silence (reached: 25 %)'
    """
    if cell is None:
        return "-"
    name = headline(cell)
    low, high = cell[f"{name}_low"], cell[f"{name}_high"]
    interval = None if low is None else (low, high)
    text = f", {_target(cell)}" if _aimed(cell) else ""
    return rate_text(cell[name], interval, cell["n"], most, text)


def per(cell: Mapping[str, Any] | None, most: int = 0) -> str:
    """A cell's phoneme error rate in percent with its interval, as :func:`wer` has it.

    >>> per({"per": 7.1, "per_low": 5.0, "per_high": 9.04, "n": 40}), per({"n": 40}), per(None)
    ('7.1 [5.0, 9.0]', '-', '-')
    """
    if cell is None or cell.get("per") is None:
        return "-"
    interval = None if cell["per_low"] is None else (cell["per_low"], cell["per_high"])
    return rate_text(cell["per"], interval, cell["n"], most)


def _target(cell: Mapping[str, Any]) -> str:
    return target_text(_rate(cell, "target"), cell["reached"])


def _aimed(cell: Mapping[str, Any]) -> bool:
    """Whether the attack had a target, with words or silence."""
    return _rate(cell, "target") is not None or "silence" in cell


def target_text(wer: float | None, share: float) -> str:
    """Error rate against the target, and the percentage of transcripts that equal it. Against
    silence there is no rate: it has no words.

    >>> target_text(80.04, 25), target_text(None, 25)
    ('target 80.0 (reached: 25 %)', 'target silence (reached: 25 %)')
    """
    return f"target {'silence' if wer is None else f'{wer:.1f}'} (reached: {share:.0f} %)"


def rate_text(
    rate: float | None,
    interval: tuple[float, float] | None,
    n: int,
    most: int = 0,
    more: str = "",
) -> str:
    """A rate with its interval, further text, and ``n`` if it is below ``most``."""
    if rate is None:
        return "-"
    text = f"{rate:.1f}" if interval is None else f"{rate:.1f} {interval_text(interval)}"
    return f"{text}{more}, n = {n}" if n < most else text + more


def interval_text(interval: tuple[float, float] | None) -> str:
    """An interval for printing; an empty text if there is none."""
    return f"[{interval[0]:.1f}, {interval[1]:.1f}]" if interval else ""

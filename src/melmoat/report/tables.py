"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

Summary = Sequence[Mapping[str, Any]]


def robustness(summary: Summary) -> list[Group]:
    """One table for each corpus and seed: defended models down, attacks across, WER with its
    interval."""
    groups = dict.fromkeys(_group(cell) for cell in summary)
    return [_table([c for c in summary if _group(c) == group]) for group in groups]


def _group(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return cell["data"], cell["seed"]


def _table(cells: Summary) -> Group:
    first = cells[0]
    counted = sorted({c["n"] for c in cells})
    count = " to ".join(str(n) for n in dict.fromkeys([counted[0], counted[-1]]))
    models = list(dict.fromkeys(c["model"] for c in cells))
    title = f"WER %, {', '.join(models)} on {first['data']}, {count} utterances"
    table = Table()
    if len(models) > 1:
        table.add_column("model", overflow="fold")
    table.add_column("defense", overflow="fold")
    columns = list(dict.fromkeys(c["attack"] for c in cells))
    for attack in columns:
        table.add_column(Text(attack), justify="right", overflow="fold")
    found = {(c["model"], c["defense"], c["attack"]): c for c in cells}
    for system in dict.fromkeys((c["model"], c["defense"]) for c in cells):
        names = [Text(name) for name in system[len(models) == 1 :]]
        table.add_row(*names, *(_wer(found.get((*system, attack))) for attack in columns))
    notes = ["[low, high]: 95 % bootstrap interval over utterances"]
    notes += [
        f"{c['defense']} / {c['attack']}: target WER {c['target_wer']:.1f}, "
        f"success {c['success']:.0f} %"
        for c in cells
        if c["target_wer"] is not None
    ]
    return Group(Text(title, style="bold"), table, Text("\n".join(notes), style="dim"))


def _wer(cell: Mapping[str, Any] | None) -> Text:
    if cell is None or cell["wer"] is None:
        return Text("-")
    if cell["wer_low"] is None:
        return Text(f"{cell['wer']:.1f}")
    return Text(f"{cell['wer']:.1f}\n[{cell['wer_low']:.1f}, {cell['wer_high']:.1f}]")

"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

Summary = Sequence[Mapping[str, Any]]


def robustness(summary: Summary) -> list[Table]:
    """One table for each model and corpus: defenses down, attacks across, WER with its interval."""
    groups = dict.fromkeys((c["model"], c["data"], c["seed"], c["limit"]) for c in summary)
    return [_table([c for c in summary if _group(c) == group]) for group in groups]


def _group(cell: Mapping[str, Any]) -> tuple[Any, ...]:
    return cell["model"], cell["data"], cell["seed"], cell["limit"]


def _table(cells: Summary) -> Table:
    first = cells[0]
    counted = sorted({c["n"] for c in cells})
    count = " to ".join(str(n) for n in dict.fromkeys([counted[0], counted[-1]]))
    table = Table(
        title=f"WER %, {first['model']} on {first['data']}, {count} utterances",
        caption="[low, high]: 95 % bootstrap interval over utterances",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("defense", overflow="fold")
    columns = list(dict.fromkeys(c["attack"] for c in cells))
    for attack in columns:
        table.add_column(attack, justify="right", overflow="fold")
    found = {(c["defense"], c["attack"]): c for c in cells}
    for defense in dict.fromkeys(c["defense"] for c in cells):
        row = [_wer(found.get((defense, attack))) for attack in columns]
        table.add_row(defense, *row)
    targeted = [c for c in cells if c["target_wer"] is not None]
    if targeted:
        lines = [
            f"{c['defense']} / {c['attack']}: target WER {c['target_wer']:.1f}, "
            f"success {c['success']:.0f} %"
            for c in targeted
        ]
        table.caption = "\n".join([str(table.caption), *lines])
    return table


def _wer(cell: Mapping[str, Any] | None) -> str:
    if cell is None or cell["wer"] is None:
        return "-"
    if cell["wer_low"] is None:
        return f"{cell['wer']:.1f}"
    return f"{cell['wer']:.1f}\n[{cell['wer_low']:.1f}, {cell['wer_high']:.1f}]"

"""Semantic distances for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from melmoat.analysis.meaning import Meaning


def meaning_tables(found: Sequence[Meaning]) -> list[Group]:
    """One table per corpus and seed: each system with its attacks."""
    known = [meaning for meaning in found if not meaning.left_out]
    places = dict.fromkeys((meaning.data, meaning.seed) for meaning in known)
    return [_table([m for m in known if (m.data, m.seed) == place]) for place in places]


def _table(found: Sequence[Meaning]) -> Group:
    table = Table()
    table.add_column("system, attack", overflow="fold")
    for head in ("n", "WER %", "capped", "distance", "others"):
        table.add_column(head, justify="right", no_wrap=True)
    for system in dict.fromkeys(meaning.system for meaning in found):
        table.add_row(Text(system, style="bold"))
        for m in found:
            if m.system == system:
                table.add_row(*map(Text, [f"  {m.attack}", *meaning_cells(m)]))
    first = found[0]
    seed = f", seed {first.seed}" if first.seed else ""
    return Group(Text(f"Semantic distance on {first.data}{seed}", style="bold"), table)


def meaning_cells(meaning: Meaning) -> list[str]:
    """Utterances, WER, capped WER, distance with its interval, and distance to other references."""
    rates = ("-" if value is None else f"{value:.1f}" for value in (meaning.wer, meaning.capped))
    others = "-" if meaning.others is None else f"{meaning.others:.2f}"
    return [str(meaning.n), *rates, _distance(meaning), others]


def _distance(meaning: Meaning) -> str:
    if meaning.distance is None:
        return "-"
    if meaning.low is None:
        return f"{meaning.distance:.2f}"
    return f"{meaning.distance:.2f} [{meaning.low:.2f}, {meaning.high:.2f}]"

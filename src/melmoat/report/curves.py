"""The charts of a page: WER against SNR, and clean speech against the worst case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from melmoat.analysis.results import Result
from melmoat.analysis.variants import setting
from melmoat.report.charts import Axis, Point, Series, chart, rates
from melmoat.report.digest import SystemSummary, metrics, wer_text
from melmoat.report.naming import attack_name, budget_name, family_name


@dataclass(frozen=True)
class Drawn:
    """A chart with the names of its series, for the legend. ``curve``: over an attack's levels."""

    title: str
    picture: Markup
    names: tuple[str, ...]
    curve: bool = False


def drawings(systems: Sequence[SystemSummary]) -> tuple[Drawn, ...]:
    """The charts of one corpus and seed."""
    scatter = trade_off(systems)
    return (*([scatter] if scatter else []), *curves(systems))


def trade_off(systems: Sequence[SystemSummary]) -> Drawn | None:
    """Clean speech against the worst case; None if no system has both."""
    series = []
    for s in systems:
        if s.benign is None or s.worst is None:
            continue
        point = Point(
            s.benign.error_rate or 0.0,
            s.worst.error_rate or 0.0,
            s.worst.interval,
            s.benign.interval,
            label=f"{wer_text(s.benign)} on clean speech, {wer_text(s.worst)} by "
            f"{attack_name(s.worst.attack_name)}",
        )
        series.append(Series(s.name, [point], joined=False))
    if not series:
        return None
    points = [p for line in series for p in line.points]
    metric = metrics([s.worst for s in systems if s.worst])
    x = rates(
        f"{metric} % on clean speech",
        [v for p in points for v in (p.x, p.across[1] if p.across else 0)],
    )
    y = rates(
        f"{metric} % in the worst case", [v for p in points for v in (p.y, p.up[1] if p.up else 0)]
    )
    title = "Clean speech against the worst case"
    about = f"Each system's {metric} without an attack and under the attack that hurts it most, "
    about += "with 95 % intervals. Low and left is better. The numbers are in the table of systems."
    return Drawn(title, chart(title, about, series, x, y), tuple(line.name for line in series))


def curves(systems: Sequence[SystemSummary]) -> list[Drawn]:
    """WER against SNR, one chart for each attack that was measured at two budgets or more."""
    families: dict[Any, dict[int, list[Result]]] = {}
    for i, s in enumerate(systems):
        for result in s.attacked:
            taken = setting(result.cell.attack)
            if taken.budget is not None and result.snr_db is not None:
                place = (taken.name, *taken.but("db", "eps", "ratio"))
                families.setdefault(place, {}).setdefault(i, []).append(result)
    drawn = []
    for family in families.values():
        if max(len(results) for results in family.values()) < 2:
            continue
        drawn.append(_curve(systems, family))
    return drawn


def _curve(systems: Sequence[SystemSummary], family: dict[int, list[Result]]) -> Drawn:
    measured = [r for results in family.values() for r in results]
    levels, metric = [r.snr_db or 0.0 for r in measured], metrics(measured)
    quiet, loud = max(levels), min(levels)
    space = max(5.0, (quiet - loud) / 4)
    clean = quiet + space
    series = []
    for place, (i, results) in enumerate(family.items()):
        aside = (place - (len(family) - 1) / 2) * (clean - loud) / 120  # or points hide one another
        points = [_point(r, (r.snr_db or 0.0) - aside) for r in results]
        benign = systems[i].benign
        if benign is not None:
            points.append(_point(benign, clean - aside, clean=True))
        ordered = sorted(points, key=lambda p: -p.x)
        series.append(Series(systems[i].name, ordered))
    step = 5 if quiet - loud <= 30 else 10
    rounded = range(step * math.ceil((loud - 1) / step), math.floor(quiet + 1) + 1, step)
    ticks = [(clean, "no attack"), *((float(v), f"{v} dB") for v in rounded)]
    title = "measured SNR of the perturbation; louder to the right"
    x = Axis(title, clean + 2, loud - 2, ticks, budgets(measured))
    y = rates(
        f"{metric} %",
        [v for line in series for p in line.points for v in (p.y, p.up[1] if p.up else 0)],
    )
    title = f"{metric} against SNR: {family_name(measured[0].cell.attack)}"
    about = f"{metric} of each system with 95 % intervals, from no attack on the left to the "
    about += "loudest one on the right. Broken lines are the budgets that were asked for, at the "
    about += "mean SNR that was measured. The numbers are in the table of attacks."
    names = tuple(line.name for line in series)
    return Drawn(title, chart(title, about, series, x, y), names, curve=True)


def budgets(measured: Sequence[Result]) -> list[tuple[float, str]]:
    """The mean measured SNR of each budget, and the budget's name. An attack may stay below its
    budget, and a limit on each sample is another measure. So the two numbers differ. Budgets whose
    names would overlap share one."""
    levels: dict[str, list[float]] = {}
    for result in measured:
        if (name := budget_name(result.cell.attack)) and result.snr_db is not None:
            levels.setdefault(name, []).append(result.snr_db)
    places = sorted((sum(values) / len(values), name) for name, values in levels.items())
    apart = (9 + places[-1][0] - places[0][0]) / 6 if places else 0.0  # a name's width in dB
    marks: list[tuple[float, str]] = []
    for place, name in places:
        if marks and place - marks[-1][0] < apart:
            marks[-1] = marks[-1][0], f"{marks[-1][1]}; {name}"
        else:
            marks.append((place, name))
    return [(place, f"budget {name}") for place, name in marks]


def _point(result: Result, x: float, clean: bool = False) -> Point:
    """``clean``: of clean speech, which may be from the rows of an attack."""
    attack = "none" if clean and result.cell.attack != "none" else result.attack_name
    label = f"{wer_text(result)} under {attack_name(attack)}"
    if not clean and result.cell.attack != "none" and result.snr_db is not None:
        label += f", measured SNR {result.snr_db:.1f} dB"
    return Point(x, result.error_rate or 0.0, result.interval, label=label)

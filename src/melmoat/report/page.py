"""A run as one self-contained HTML page, and as Markdown.

The page loads nothing from the network, and its content security policy forbids it. Pictures and
sound are embedded, and only the page's own script may run. Everything from a run (names,
transcripts, errors) may come from anyone, so it is escaped.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from melmoat.analysis.audit import audit
from melmoat.analysis.results import Result, read_results
from melmoat.bench.cell import Cell
from melmoat.bench.store import Store, write_text
from melmoat.devices import CPU
from melmoat.report import charts
from melmoat.report.curves import Drawn, drawings
from melmoat.report.diffs import row_diff
from melmoat.report.digest import (
    SystemSummary,
    by_speaker,
    cost_text,
    metrics,
    mixed,
    place_text,
    ranked,
    systems,
    wer_text,
)
from melmoat.report.findings import figure_text
from melmoat.report.listening import Players, listen
from melmoat.report.naming import attack_name
from melmoat.report.outcome import featured, outcomes
from melmoat.report.tables import interval_text

TEMPLATES = Path(__file__).parent / "templates"
MARKS = {"ok": "✓", "sign": "✗", "open": "?", "missing": "∅", "n/a": "-"}
MARKS |= {"suspect": "✗", "incomplete": "?", "no sign found": "✓"}


@dataclass(frozen=True)
class Options:
    """Limits of a page.

    Args:
        megabytes: size limit of embedded audio and spectrograms.
        rows: most rows in the table of utterances, equally many for each cell.
    """

    megabytes: float = 12.0
    rows: int = 2000


@dataclass(frozen=True)
class Line:
    """One system in a table, as text."""

    system: SystemSummary
    benign: str
    worst: str
    worst_attack: str
    speakers: str
    place: str
    cells: tuple[str, ...]
    costs: tuple[str, ...]
    keys: tuple[str | None, ...]  # of the cells; None for a cell that was not measured itself


@dataclass(frozen=True)
class Table:
    """The systems of one corpus and seed: attacks across."""

    data: str
    seed: int
    utterances: int
    metric: str
    attacks: tuple[str, ...]
    lines: tuple[Line, ...]
    drawn: tuple[Drawn, ...]
    note: str = ""


def write_report(folder: Path, options: Options = Options()) -> tuple[Path, Path, int]:
    """Render ``report.html`` and ``report.md`` into a run's folder.

    Returns:
        The two files, and the number of utterances with audio that did not fit.

    Raises:
        StoreError: there is no run, or the files cannot be written.
    """
    page, text, left_out = render(folder, options)
    paths = folder / "report.html", folder / "report.md"
    for path, content in zip(paths, (page, text), strict=True):
        write_text(path, content)
    return *paths, left_out


def render(folder: Path, options: Options = Options()) -> tuple[str, str, int]:
    """HTML, Markdown, and the number of utterances with audio that were left out."""
    results = read_results(folder)
    everything = audit(results, bare=True)
    audited = [row for row in everything if row.defense != "none"]
    measured = [r for r in results if r.rows]
    players, left_out = listen(folder, measured, options.megabytes)
    summaries = systems(results, everything)
    on_top = featured(summaries, players)
    made = tables(summaries)
    drawn = _by_interest([(drawn, table.data) for table in made for drawn in table.drawn])
    total = sum(len(r.rows) for r in measured)
    share = total if total <= options.rows else max(1, options.rows // len(measured))
    rows = [(r, row) for r in measured for row in islice(r.rows.values(), share)]
    store = Store(folder)
    run = store.run()
    content = {
        "title": folder.resolve().name,
        "folder": called(folder),
        "run": run,
        "outcomes": outcomes(summaries),
        "on_top": on_top,
        "first_drawn": drawn[0] if drawn else None,
        "more_drawn": drawn[1:],
        "tables": made,
        "measures": metrics(measured),
        "audited": audited,
        "heard": heard(players, on_top),
        "across": _across(players),
        "left_out": left_out,
        "megabytes": options.megabytes,
        "rows": rows,
        "all_rows": total,
        "failures": [
            (r, name, error) for r in results for name, error in store.failures_of(r.key).items()
        ],
        "names": list(dict.fromkeys(name(r) for r in measured)),
        "attacks": list(dict.fromkeys(r.attack_name for r in measured)),
        "commands": commands(results, run.get("asked", {}), store.limits(), folder),
        "own_style": Markup((TEMPLATES / "run.css").read_text(encoding="utf-8")),
        **shell("run.js"),
    }
    html, markdown = templates()
    page = html.get_template("page.html.j2").render(content)
    return page, markdown.get_template("page.md.j2").render(content), left_out


def heard(players: Sequence[Players], on_top: Players | None) -> list[tuple[Result, list[Players]]]:
    """The players by cell, without the one on top of the page: first the cell that is heard there,
    then those with the most errors."""
    cells = {p.result.key: p.result for p in players}
    order = sorted(cells.values(), key=lambda r: -(r.error_rate or 0.0))
    if on_top:
        order.sort(key=lambda r: r.key != on_top.result.key)
    found = [(r, [p for p in players if p.result.key == r.key and p is not on_top]) for r in order]
    return [(result, several) for result, several in found if several]


def _across(players: Sequence[Players]) -> list[str]:
    """The utterances that can be heard in several cells."""
    counted = Counter(p.utterance for p in players)
    return [utterance for utterance, cells in counted.items() if cells > 1]


def _by_interest(drawn: list[tuple[Drawn, str]]) -> list[tuple[Drawn, str]]:
    """A chart of an attack's levels first, if there is one."""
    return sorted(drawn, key=lambda pair: not pair[0].curve)


def shell(*more: str) -> dict[str, object]:
    """The frame of every page: its style, its script, and the hash that allows the script.

    Args:
        more: further scripts.
    """
    names = ("page.js", *more)
    script = "".join((TEMPLATES / name).read_text(encoding="utf-8") for name in names)
    return {
        "style": Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
        "script": Markup(script),
        "digest": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def tables(summaries: Sequence[SystemSummary]) -> list[Table]:
    """One table per corpus and seed."""
    made = []
    for data, seed in dict.fromkeys((s.data, s.seed) for s in summaries):
        here = [s for s in summaries if (s.data, s.seed) == (data, seed)]
        untargeted = [r for s in here for r in (*([s.benign] if s.benign else []), *s.attacked)]
        results = untargeted + [r for s in here for r in s.targeted]
        attacks = list(dict.fromkeys(r.cell.attack for r in results))
        most = max((len(r.rows) for r in results), default=0)
        ranks = ranked([(s, s.tried) for s in here], most)
        lines = [_line(s, attacks, most, place_text(p)) for s, p in zip(here, ranks, strict=True)]
        names = {r.cell.attack: r.attack_name for r in results}
        shown = here[0].data_name, seed, most, metrics(results)
        heads = tuple(names.get(attack, attack) for attack in attacks)
        made.append(Table(*shown, heads, tuple(lines), drawings(here), mixed(results)))
    return made


def _line(system: SystemSummary, attacks: Sequence[str], most: int, place: str) -> Line:
    by_attack = {r.cell.attack: r for r in (*system.attacked, *system.targeted)}
    if system.benign:
        by_attack["none"] = system.benign
    worst = system.worst
    speakers = by_speaker(worst)
    keys = tuple(_own_key(by_attack.get(attack), attack) for attack in attacks)
    return Line(
        system,
        wer_text(system.benign, most),
        wer_text(worst, most),
        worst.attack_name if worst else "",
        f"{interval_text(speakers[0])}, {speakers[1]} speakers" if speakers else "",
        place,
        tuple(wer_text(by_attack.get(attack), most) for attack in attacks),
        tuple(
            cost_text(by_attack[attack] if key else None)
            for attack, key in zip(attacks, keys, strict=True)
        ),
        keys,
    )


def _own_key(result: Result | None, attack: str) -> str | None:
    """The key of a cell; clean speech may have been read from the rows of an attack."""
    return result.key if result and result.cell.attack == attack else None


def anchor(kind: str, *parts: str) -> str:
    """The permanent address of a cell, a row or an example within the page.

    >>> anchor("row", "0f3a", "a b/\u00e9")
    'row-0f3a-a%20b%2F%C3%A9'
    """
    return "-".join([kind, *(quote(part, safe="") for part in parts)])


def commands(
    results: Sequence[Result],
    asked: Mapping[str, Any],
    limits: Mapping[Cell, int],
    folder: Path,
) -> list[str]:
    """Commands that measure the same cells again, one per system and limit.

    Other options are those of the last call into the folder. Runs of earlier versions do not state
    a cell's limit. For these it is the largest number of rows of the system.
    """
    options = [
        f"--{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name in ("batch", "seconds", "save_audio")
        if type(value := asked.get(name)) in (bool, int, float) and value
    ]
    spread = asked.get("choose", "spread") == "spread"  # earlier versions always did this
    if (device := asked.get("device", CPU)) != CPU:
        options.append(f"--device {shlex.quote(str(device))}")
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
        most = max(len(other.rows) for other in results if other.system == result.system)
        limit = limits.get(result.cell, (most or asked["limit"]) if asked.get("limit") else 0)
        groups.setdefault((*result.system, limit), []).append(result)
    lines = []
    for (model, defense, data, seed, limit), results_of_group in groups.items():
        words = ["melmoat bench", f"--out {called(folder)}"]
        words += [f"--data {shlex.quote(data)}", *([f"--seed {seed}"] if seed else []), *options]
        words += [f"--limit {limit}"] if limit else []
        words += ["--choose spread"] if limit and spread else []
        words += [f"--model {shlex.quote(model)}", f"--defense {shlex.quote(defense)}"]
        words += [f"--attack {shlex.quote(r.cell.attack)}" for r in results_of_group]
        lines.append(" ".join(words))
    return lines


def called(folder: Path) -> str:
    """A run's folder for a command: a relative path as it is, an absolute one without its
    parents."""
    return shlex.quote(str(folder) if not folder.is_absolute() else folder.name or str(folder))


def name(result: Result) -> str:
    """The name of a system on the page."""
    return result.system_name


def md(text: object) -> str:
    """Text that Markdown shows unchanged, also in a table.

    >>> md("a|b <script> [x](y)")
    'a\\\\|b &lt;script&gt; \\\\[x\\\\](y)'
    """
    flat = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", flat.replace(">", "&gt;"))


def number(value: float | None, digits: int = 1) -> str:
    """A number, or a dash."""
    return "-" if value is None else f"{value:.{digits}f}"


def environment(folder: Path, escaped: bool) -> Environment:
    """What renders the templates of a folder. A name that a template lacks is an error.

    Args:
        escaped: whether values are escaped, for HTML.
    """
    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@lru_cache(maxsize=1)
def templates() -> tuple[Environment, Environment]:
    """The template environments: for HTML, which escapes everything, and for Markdown."""
    environments = []
    for escaped in (True, False):
        made = environment(TEMPLATES, escaped)
        made.filters |= {"md": md, "number": number, "figure": figure_text, "system": name}
        made.filters["attack"] = attack_name
        made.globals |= {"diff": row_diff, "key": charts.key, "marks": MARKS, "anchor": anchor}
        environments.append(made)
    return environments[0], environments[1]

"""Many runs as one table: each system's worst case over the attacks at some levels.

In the style of RobustBench (Croce et al. 2021): a row is a system, and its number is its error rate
under the strongest attack that was tried. The page is rendered from the files of the runs only. The
audit's verdict is beside the number. A suspect or unfinished row has no place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from melmoat.analysis.audit import audit
from melmoat.analysis.results import Result, read_results
from melmoat.analysis.variants import setting, siblings
from melmoat.attacks.budgets import SNR, LinfSNR
from melmoat.bench.cell import Cell
from melmoat.bench.store import write_text
from melmoat.errors import MelmoatError
from melmoat.report.digest import (
    SystemSummary,
    metrics,
    mixed,
    place_text,
    ranked,
    strongest,
    systems,
    wer_text,
)
from melmoat.report.page import TEMPLATES, shell, templates
from melmoat.report.standing import COLUMNS, StandardBoard
from melmoat.standard.places import OVER

LEVELS = (20.0, 30.0)  # dB of SNR
NEAR = 5.0  # largest distance of a column from its level, in dB
SAME = 0.75  # attacks this close in dB share a column
STYLE = Markup((TEMPLATES / "board.css").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Entry:
    """One line. ``worst`` has the strongest result of each column, or None."""

    system: SystemSummary
    worst: tuple[Result | None, ...]
    attacks: tuple[int, ...]
    place: str

    @property
    def verdict(self) -> str:
        """The verdict of the audit, with its reasons."""
        audited = self.system.audited
        signs = [f.check for f in audited.findings if f.status == "sign"]
        lacking = sum(f.status in ("missing", "open") for f in audited.findings)
        if signs:
            return f"suspect: {', '.join(signs)}"
        return f"incomplete: {lacking} checks lack evidence" if lacking else audited.verdict


@dataclass(frozen=True)
class Board:
    """The systems measured on one corpus with one seed.

    Attributes:
        metric: the rate: WER, or CER if the texts have no spaces between words.
        columns: for each of ``LEVELS``, the measured level nearest to it; None if there is none.
    """

    data: str
    seed: int
    utterances: int
    columns: tuple[float | None, ...]
    entries: tuple[Entry, ...]
    metric: str = "WER"
    note: str = ""

    @property
    def data_name(self) -> str:
        """The name of the corpus."""
        return self.entries[0].system.data_name


def boards(results: Sequence[Result]) -> list[Board]:
    """One board per corpus and seed, the largest first."""
    summaries = merged(systems(results, audit(results, bare=True)))
    made = [
        _board([s for s in summaries if (s.data, s.seed) == place])
        for place in dict.fromkeys((s.data, s.seed) for s in summaries)
    ]
    return sorted(made, key=lambda board: -board.utterances)


def merged(summaries: Sequence[SystemSummary]) -> list[SystemSummary]:
    """Merge systems that differ only in the attacker's gradient.

    An attack with another gradient is still an attack on the same defense. The verdict is that of
    the row with the exact gradient.
    """
    groups: dict[tuple[str, str, str, int], list[SystemSummary]] = {}
    for s in summaries:
        groups.setdefault((s.model, siblings(s.defense)[1], s.data, s.seed), []).append(s)
    made = []
    for (model, defense, data, seed), several in groups.items():
        first = next((s for s in several if s.defense == defense), several[0])
        benign = first.benign or next((s.benign for s in several if s.benign), None)
        attacked = tuple(r for s in several for r in s.attacked)
        made.append(SystemSummary(model, defense, data, seed, benign, attacked, first.audited))
    return made


def level(result: Result) -> float | None:
    """The SNR in dB of an attack's budget, or else its mean measured SNR."""
    budget = setting(result.cell.attack).budget
    return budget.db if isinstance(budget, SNR | LinfSNR) else result.snr_db


def _board(summaries: Sequence[SystemSummary]) -> Board:
    results = [r for s in summaries for r in (*s.attacked, *([s.benign] if s.benign else []))]
    most = max((len(r.rows) for r in results), default=0)
    levels = {
        v for s in summaries for r in s.tried if len(r.rows) == most and (v := level(r)) is not None
    }
    columns = []
    for wanted in LEVELS:
        nearest = min(levels, key=lambda v: (abs(v - wanted), v), default=None)
        near = nearest is not None and abs(nearest - wanted) <= NEAR
        columns.append(nearest if near else None)
    pools = [[_near(s.tried, column) for column in columns] for s in summaries]
    ranks = ranked([(s, pool[0]) for s, pool in zip(summaries, pools, strict=True)], most)
    entries = [
        Entry(s, tuple(map(strongest, pool)), tuple(map(len, pool)), place_text(place))
        for s, pool, place in zip(summaries, pools, ranks, strict=True)
    ]
    entries.sort(key=_order)
    place = summaries[0].data, summaries[0].seed
    return Board(*place, most, tuple(columns), tuple(entries), metrics(results), mixed(results))


def _near(tried: Sequence[Result], column: float | None) -> list[Result]:
    """The attacks in a column."""
    if column is None:
        return []
    return [r for r in tried if (v := level(r)) is not None and abs(v - column) <= SAME]


def _order(entry: Entry) -> tuple[bool, bool, float]:
    """Ranked systems first, then the others, then systems without an attack."""
    worst = entry.worst[0]
    return worst is None, entry.system.suspect, (worst.error_rate if worst else None) or 0.0


def runs_in(paths: Iterable[Path]) -> list[Path]:
    """The folders of runs among ``paths``: each is one, or a folder of several.

    Raises:
        MelmoatError: no run there.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(run.parent for run in path.glob("*/run.json"))
        own = [path] if (path / "run.json").is_file() else inside
        if not own:
            raise MelmoatError(f"{path}: no runs here; expected folders with a run.json")
        found += own
    return list(dict.fromkeys(found))


def write_leaderboard(
    paths: Iterable[Path],
    out: Path,
    made_by: str = "",
    source: str = "these runs",
    judged: Sequence[StandardBoard] | None = None,
    entries_at: str = "",
) -> list[Path]:
    """Render runs to ``out`` with the suffixes .md and .html (in the place of either).

    Args:
        paths: runs, or folders of runs (:func:`runs_in`).
        made_by: the command that the page names.
        source: what it says that it was rendered from, in Markdown.
        judged: the standard's tables, which come first; None leaves them out.
        entries_at: the folder of their entries, as the pages link to it.

    Raises:
        MelmoatError: there are no runs, or two have a cell of one name with other files.
    """
    runs = runs_in(paths)
    largest: dict[Cell, Result] = {}
    for result in (result for run in runs for result in read_results(run) if result.rows):
        known = largest.get(result.cell, result)  # where several runs have it, the largest counts
        if known.key != result.key:
            raise MelmoatError(
                f"two runs have {result.name} on {result.data_name} with other weights, texts or "
                f"code (cells {known.key} and {result.key}): leave one of them out"
            )
        largest[result.cell] = max(known, result, key=lambda r: len(r.rows))
    content = {
        "boards": boards(list(largest.values())),
        "levels": LEVELS,
        "text": wer_text,
        "made_by": made_by,
        "source": source,
        "judged": judged,
        "entries_at": entries_at,
        "levels_judged": COLUMNS,
        "levels_ranked": OVER,
        "depth": 2 if judged is None else 3,
        "own_style": "" if judged is None else STYLE,
        **(shell() if judged is None else shell("board.js")),
    }
    escaped, plain = templates()
    made = {
        ".md": plain.get_template("leaderboard.md.j2").render(content),
        ".html": escaped.get_template("leaderboard.html.j2").render(content),
    }
    whole = out.with_suffix("") if out.suffix in made else out
    files = {whole.with_name(whole.name + suffix): page for suffix, page in made.items()}
    for file, page in files.items():
        write_text(file, page)
    return list(files)

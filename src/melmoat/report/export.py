"""Exports the rates and audio of a run: CSV, LaTeX, Markdown, a manifest of audio."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from melmoat.analysis.results import Result
from melmoat.bench import audio_store
from melmoat.bench.labels import PARTS, shown, system
from melmoat.bench.store import StoreError, write_text, writing
from melmoat.report.tables import Summary, attack_name, grid, headline, title, wer

_LATEX = {c: rf"\{c}" for c in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def flat(summary: Summary) -> list[dict[str, Any]]:
    """One flat object per cell: its names, then its specs and rates."""
    return [_names(cell) | {k: v for k, v in cell.items() if k != "labels"} for cell in summary]


def _names(cell: Mapping[str, Any]) -> dict[str, Any]:
    labels = cell.get("labels")
    names = {"system_name": system(cell["model"], cell["defense"], labels)}
    return names | {f"{part}_name": shown(part, cell[part], labels) for part in PARTS[2:]}


def csv_text(lines: Sequence[Mapping[str, Any]]) -> str:
    """Objects as CSV; columns in the order of first appearance, None as an empty field."""
    out = io.StringIO()
    fields = list(dict.fromkeys(name for line in lines for name in line))
    writer = csv.DictWriter(out, fields, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return out.getvalue()


def markdown(summary: Summary) -> str:
    """One table per corpus and seed: systems down, attacks across, error rates with their 95 %
    intervals."""
    parts = []
    for heading, heads, lines in _grids(summary):
        rows = [[_md(text) for text in line] for line in [heads, *lines]]
        rule = "|---" * len(heads) + "|"
        text = [f"| {' | '.join(row)} |" for row in rows]
        parts.append("\n".join([f"{_md(heading)}\n", text[0], rule, *text[1:]]))
    return "\n\n".join(parts) + "\n"


def latex(summary: Summary) -> str:
    """The same as ``tabular`` environments with the rules of the package ``booktabs``."""
    parts = []
    for heading, heads, lines in _grids(summary):
        rows = [" & ".join(map(_tex, line)) + r" \\" for line in [heads, *lines]]
        name_columns = sum(head in ("system", "model", "defense") for head in heads[:2])
        columns = "l" * name_columns + "r" * (len(heads) - name_columns)
        parts.append(
            "\n".join(
                [
                    f"% {heading}; needs \\usepackage{{booktabs}}",
                    rf"\begin{{tabular}}{{{columns}}}",
                    r"\toprule",
                    rows[0],
                    r"\midrule",
                    *rows[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                ]
            )
        )
    return "\n\n".join(parts) + "\n"


def _grids(summary: Summary) -> Iterable[tuple[str, list[str], list[list[str]]]]:
    """Title, column heads and lines of each table, as text."""
    for group in dict.fromkeys((c["data"], c["seed"]) for c in summary):
        cells = [c for c in summary if (c["data"], c["seed"]) == group]
        attacks = list(dict.fromkeys(c["attack"] for c in cells))
        most = max(c["n"] for c in cells)
        heads, rows = grid(cells)
        lines = [[*names, *(_rate(row.get(a), most) for a in attacks)] for names, row in rows]
        yield title(cells), [*heads, *(attack_name(cells, a) for a in attacks)], lines


def _rate(cell: Mapping[str, Any] | None, most: int) -> str:
    return "-" if cell is None or cell[headline(cell)] is None else wer(cell, most)


def _md(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _tex(text: str) -> str:
    """Text that LaTeX prints as it is.

    >>> _tex("l2 20 dB & 5 %")
    'l2 20 dB \\\\& 5 \\\\%'
    """
    return "".join(_LATEX.get(letter, letter) for letter in text)


def write_audio(folder: Path, results: Iterable[Result], out: Path) -> tuple[Path, int]:
    """Copy a run's adversarial audio, with a manifest of one JSON object per line.

    Each line has ``audio_filepath``, relative to the manifest, and ``text``, the reference. This is
    the format of NeMo, which ``manifest:PATH`` and other tools read. ``id`` names the cell and the
    utterance. The row's other fields and the cell's specs follow.

    Returns:
        The manifest, and the number of recordings in it.

    Raises:
        StoreError: the run has no audio, or the files cannot be written.
    """
    lines = []
    for result in results:
        place = audio_store.home(folder, result.key)
        for name, row in result.rows.items():
            path = audio_store.find(place, name, "adversarial")
            if path is None:
                continue
            target = out / result.key / path.name
            with writing(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
            cell = result.cell
            fields = {k: v for k, v in row.items() if k not in ("id", "reference")}
            lines.append(
                {
                    "audio_filepath": f"{result.key}/{path.name}",
                    "text": row["reference"],
                    "id": f"{result.key}/{name}",
                    "utterance": name,
                    "model": cell.model,
                    "defense": cell.defense,
                    "attack": cell.attack,
                    **fields,
                }
            )
    if not lines:
        raise StoreError(
            f"{folder}: the run has no audio; `melmoat bench --save-audio` with another folder "
            "keeps it"
        )
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    write_text(out / "manifest.jsonl", text)
    return out / "manifest.jsonl", len(lines)

"""The gallery of the site, docs/gallery.html: measure the suite `gallery`, and render it to be heard.

python tools/gallery.py

A second call continues the first. What was sent to the recognizers is embedded as it is (FLAC), what
a defense made of it as MP3.
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import soundfile
from markupsafe import Markup

from melmoat.analysis.results import Result, read_results
from melmoat.bench import audio_store
from melmoat.bench.labels import of_suite
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store, write_text
from melmoat.bench.suite import Suite, find
from melmoat.errors import MelmoatError
from melmoat.evaluation import measure
from melmoat.progress import Lines
from melmoat.report.listening import Clip, listen
from melmoat.report.page import TEMPLATES, shell, templates

HOME = Path(__file__).parents[1]
MADE_BY = "python tools/gallery.py"
DEFENDED = ("No attack", "PGD, 20 dB")  # columns whose defended audio can be heard


@dataclass(frozen=True)
class Card:
    """One utterance under one attack, and what one system made of it.

    ``sent`` is None where a system further up was sent the same audio.
    """

    attack: str
    row: Mapping[str, Any]
    unit: str
    sent: Clip | None
    defended: str | None  # a data URI

    @property
    def errors(self) -> str:
        """How many words are wrong."""
        wrong, words = self.row["counts"]["adversarial"][self.unit]
        return f"{wrong} of {words} words wrong" if wrong else "all words right"


@dataclass(frozen=True)
class Sample:
    """One utterance: the systems with their cards, in the order of the suite."""

    name: str
    reference: str
    systems: Sequence[tuple[str, str, Sequence[Card]]]  # label, spec, cards


def run(suite: Suite, folder: Path) -> None:
    """Measure what is missing of the suite."""
    names = {cell: label for label, cell in suite.cells().items()}
    runner = Runner(
        Store(folder), suite.limit, suite.limit, save_audio=True, choose=suite.choose
    )
    measure(runner, list(names), of_suite(names), Lines(lambda line: print(line, flush=True)))
    runner.require_whole(list(names))


def gallery(suite: Suite, folder: Path) -> tuple[list[Sample], dict[tuple[str, str], Result]]:
    """The samples, and the cells by row and column."""
    there = {result.cell: result for result in read_results(folder)}
    cells = {label: there[cell] for label, cell in suite.cells().items()}
    players, _ = listen(folder, list(cells.values()), 1000.0)
    clips = {(p.result.key, p.utterance): {c.kind: c for c in p.clips} for p in players}
    samples = []
    for name in next(iter(cells.values())).rows:
        heard: set[str] = set()
        systems = []
        for row in suite.rows:
            cards = []
            for column in suite.columns:
                result = cells[row.label, column]
                found = clips[result.key, name]
                sent = found.get("adversarial", found["clean"])
                new = sent.audio not in heard
                heard.add(sent.audio)
                played = column in DEFENDED and "defended" in found
                defended = mp3(folder, result.key, name) if played else None
                made = Card(column, result.rows[name], result.unit, sent if new else None, defended)
                cards.append(made)
            systems.append((row.label, f"{row.model}, {row.defense}", cards))
        reference = str(next(iter(cells.values())).rows[name]["reference"])
        samples.append(Sample(name, reference, systems))
    return samples, cells


def mp3(folder: Path, key: str, name: str) -> str:
    """The defended audio as a data URI."""
    path = audio_store.find(audio_store.home(folder, key), name, "defended")
    assert path is not None
    wave, rate = soundfile.read(path)
    file = io.BytesIO()
    soundfile.write(file, wave, rate, format="MP3", compression_level=0.7)
    return "data:audio/mpeg;base64," + base64.b64encode(file.getvalue()).decode()


def page(suite: Suite, folder: Path) -> str:
    """The gallery as HTML."""
    samples, cells = gallery(suite, folder)
    content = {
        "samples": samples,
        "cells": cells,
        "rows": [(row.label, f"{row.model}, {row.defense}") for row in suite.rows],
        "columns": suite.columns,
        "command": MADE_BY,
        "own_style": Markup((TEMPLATES / "gallery.css").read_text("utf-8")),
        **shell("gallery.js"),
    }
    return templates()[0].get_template("gallery.html.j2").render(content)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", default=str(HOME / "suites" / "gallery.py"), help="what is played")
    parser.add_argument("--run", type=Path, default=HOME / "runs" / "gallery", help="its run")
    parser.add_argument("--out", type=Path, default=HOME / "docs" / "gallery.html")
    given = parser.parse_args()
    try:
        played = find(given.suite)
        run(played, given.run)
        write_text(given.out, page(played, given.run))
        print(given.out)
    except MelmoatError as error:
        sys.exit(f"error: {error}")

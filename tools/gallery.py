"""The gallery of the site: measures the suite `gallery`, and keeps what is played in docs/gallery.

python tools/gallery.py

A second call continues the first. The page is made of what is kept, without a recognizer, by
`make docs` (tools/pages.py).
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jinja2

from melmoat import defenses
from melmoat.analysis.results import Result, read_results
from melmoat.audio import Audio, load, save
from melmoat.bench import audio_store
from melmoat.bench.labels import of_suite
from melmoat.bench.runner import Runner
from melmoat.bench.store import Store, write_json
from melmoat.bench.suite import Suite, find
from melmoat.defenses import GaussianNoise, RandomizedSmoothing
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.evaluation import measure
from melmoat.progress import Lines
from melmoat.report.listening import peak, spectrogram
from melmoat.report.page import templates

HOME = Path(__file__).parents[1]
KEPT = HOME / "docs" / "gallery"
MARK = "<!-- gallery -->"  # where the page has the players


@dataclass(frozen=True)
class Clip:
    """A sound: what it is, and its file and its picture from the folder of the gallery."""

    kind: str
    title: str
    sound: str
    picture: str


@dataclass(frozen=True)
class Case:
    """One utterance under one attack on one system."""

    result: Result
    row: Mapping[str, Any]
    clips: Sequence[Clip]

    @property
    def system(self) -> str:
        return slug(self.result.system_name)

    @property
    def attack(self) -> str:
        return slug(self.result.attack_name)

    @property
    def address(self) -> str:
        """Its part of the page's address after #."""
        return f"{self.row['id']}/{self.attack}/{self.system}"

    def errors(self, which: str = "adversarial") -> str:
        """How much of the transcript is wrong."""
        wrong, of = self.row["counts"][which][self.result.unit]
        return f"{wrong or 'no'} error{'s' * (wrong != 1)} in {of} {self.result.unit}"


def slug(label: str) -> str:
    """A label in an address.

    >>> slug("PGD, 20 dB")
    'pgd-20-db'
    """
    return re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")


def run(suite: Suite, folder: Path) -> None:
    """Measure what is missing of the suite."""
    names = {cell: label for label, cell in suite.cells().items()}
    runner = Runner(Store(folder), suite.limit, suite.limit, save_audio=True, choose=suite.choose)
    measure(runner, list(names), of_suite(names), Lines(lambda line: print(line, flush=True)))
    runner.require_whole(list(names))


def keep(suite: Suite, folder: Path, kept: Path) -> None:
    """Copy the rows of the suite's cells, and each sound once. What was kept before is replaced
    once everything has been copied.

    Raises:
        MelmoatError: the run lacks audio.
    """
    kept.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="new-", dir=kept) as new:
        _copy(suite, folder, Path(new))
        for part in ("audio", "cells"):
            shutil.rmtree(kept / part, ignore_errors=True)
            (Path(new) / part).rename(kept / part)
        (Path(new) / "run.json").replace(kept / "run.json")


def _copy(suite: Suite, folder: Path, kept: Path) -> None:
    keys = [cell.key for cell in suite.cells().values()]
    (kept / "audio").mkdir()
    (kept / "cells").mkdir()
    told = Store(folder).run()
    told["cells"] = [cell for key in keys for cell in told["cells"] if cell["key"] == key]
    write_json(kept / "run.json", told)
    results = {result.key: result for result in read_results(folder)}
    for key in keys:
        shutil.copy(folder / "cells" / f"{key}.jsonl", kept / "cells")
        home = audio_store.home(kept, key)
        home.mkdir()
        for name in results[key].rows:
            for kind, path in _sounds(results[key], folder, name, first=key == keys[0]).items():
                shutil.copy(path, audio_store.file(home, name, kind))
            if noisy := _noisy(results[key], folder, name):
                save(audio_store.file(home, name, "defended"), noisy)


def _sounds(result: Result, folder: Path, name: str, first: bool) -> dict[str, Path]:
    """The files of a case that no earlier one has."""
    home = audio_store.home(folder, result.key)
    found = {kind: audio_store.find(home, name, kind) for kind in audio_store.KINDS}
    files = {kind: path for kind, path in found.items() if path}
    if not {"clean", "adversarial"} <= files.keys():
        raise MelmoatError(f"{home}: no audio of {name}; remove {folder}, and measure again")
    sent = files["adversarial"].read_bytes()
    if sent == files["clean"].read_bytes():
        del files["adversarial"]
    if not first:
        del files["clean"]
    if "defended" in files and files["defended"].read_bytes() == sent:
        del files["defended"]
    return files


@cache
def _smoothing(defense: str) -> RandomizedSmoothing | None:
    made = defenses.build(defense)
    return made if isinstance(made, RandomizedSmoothing) else None


def _noisy(result: Result, folder: Path, name: str) -> Audio | None:
    """One of the noisy copies that smoothing lets vote. A run keeps none of them."""
    smoothing = _smoothing(result.cell.defense)
    if smoothing is None:
        return None
    sent = audio_store.find(audio_store.home(folder, result.key), name, "adversarial")
    assert sent is not None  # else _sounds has said so
    noise = GaussianNoise(smoothing.snr, smoothing.level)
    return defenses.apply(noise, load(sent), Draws([result.cell.seed_of(name)]).fork("listen"))


def cases(kept: Path = KEPT) -> list[Case]:
    """Every utterance under every attack on every system.

    Raises:
        MelmoatError: what is kept lacks rows or sounds.
    """
    results = read_results(kept)
    clean = results[0].key
    made = []
    for result in results:
        if result.rows.keys() != results[0].rows.keys():
            raise MelmoatError(f"{kept}: {result.name} lacks utterances")
        for name, row in result.rows.items():
            sounds = [("As recorded", clean, "clean")]
            if result.cell.attack != "none":
                sounds.append((f"With {attack_in_words(result)}", result.key, "adversarial"))
            if result.cell.defense != "none":
                smoothed = _smoothing(result.cell.defense)
                title = "One of the noisy copies that vote" if smoothed else "After the defense"
                sounds.append((title, result.key, "defended"))
            clips = [_clip(kept, title, key, name, kind) for title, key, kind in sounds]
            made.append(Case(result, row, clips))
    return made


def attack_in_words(result: Result) -> str:
    """What was added to the recording."""
    return "random noise" if result.cell.attack.startswith("noise") else "the attack"


def _clip(kept: Path, title: str, key: str, name: str, kind: str) -> Clip:
    path = audio_store.find(audio_store.home(kept, key), name, kind)
    if path is None:
        raise MelmoatError(
            f"{kept}: no {kind} audio of {name}; it lies in the repository, and "
            "`python tools/gallery.py` measures it anew"
        )
    sound = path.relative_to(kept)
    return Clip(kind, title, sound.as_posix(), sound.with_suffix(".png").as_posix())


def first(made: Sequence[Case]) -> Case:
    """The case that the page opens with: under the attack with the most errors, an utterance that
    is otherwise understood."""

    def share(case: Case) -> float:
        wrong, of = case.row["counts"]["adversarial"][case.result.unit]
        return float(min(wrong / of, 1.0))

    understood = [c for c in made if not c.row["counts"]["benign"][c.result.unit][0]]
    worst = max(
        (c.result for c in understood if not c.result.targeted), key=lambda r: r.error_rate or 0.0
    )
    return max((c for c in understood if c.result is worst), key=share)


def pictures(kept: Path = KEPT) -> dict[str, bytes]:
    """The spectrograms by file name. Those of an utterance have the same scale."""
    found: dict[str, list[Path]] = {}
    for path in sorted(kept.glob("audio/*/*.flac")):
        found.setdefault(path.name.split(".")[0], []).append(path)
    made = {}
    for paths in found.values():
        sounds = {path.relative_to(kept): load(path) for path in paths}
        top = max(map(peak, sounds.values()))
        for path, sound in sounds.items():
            made[path.with_suffix(".png").as_posix()] = spectrogram(sound, top)
    return made


@cache
def _template() -> jinja2.Template:
    report = templates()[0]
    here = jinja2.FileSystemLoader(Path(__file__).parent)
    assert report.loader is not None
    with_ours = report.overlay(loader=jinja2.ChoiceLoader([report.loader, here]))
    return with_ours.get_template("gallery.html.j2")


def players(kept: Path = KEPT) -> str:
    """The players and the table, as a part of a page."""
    made = cases(kept)
    cells = {(c.result.system_name, c.result.attack_name): c.result for c in made}
    return _template().render(
        cases=made,
        first=first(made),
        cells=cells,
        systems=list(dict.fromkeys(system for system, _ in cells)),
        attacks=list(dict.fromkeys(attack for _, attack in cells)),
        utterances={c.row["id"]: c.row["reference"] for c in made},
        slug=slug,
    )


def filled(page: str, kept: Path = KEPT) -> str:
    """A page with the players at its mark."""
    return page.replace(MARK, players(kept))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, default=HOME / "runs" / "gallery", help="its run")
    parser.add_argument("--out", type=Path, default=KEPT, help="where what is played is kept")
    given = parser.parse_args()
    try:
        suite = find(str(HOME / "suites" / "gallery.py"))
        run(suite, given.run)
        keep(suite, given.run, given.out)
        size = sum(path.stat().st_size for path in given.out.rglob("*.flac"))
        print(f"{given.out}: {size / 1e6:.1f} MB of sound; `make docs` makes the page")
    except MelmoatError as error:
        sys.exit(f"error: {error}")

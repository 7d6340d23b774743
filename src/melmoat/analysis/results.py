"""Reads the rows of a run from its folder and compares them utterance by utterance."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from melmoat import data
from melmoat.bench.cell import Cell
from melmoat.bench.labels import SEP as SEP  # also this module's own
from melmoat.bench.labels import Labels, cell_name, heading, shown, system
from melmoat.bench.store import Store, StoreError
from melmoat.errors import MelmoatError
from melmoat.metrics.errors import METRICS, unit_of
from melmoat.metrics.intervals import FLIPS, Difference, bootstrap, needed, paired, rate
from melmoat.text import same_text
from melmoat.writing_systems import letters

MIN_SPEAKERS = 5  # a bootstrap over fewer speakers is meaningless
# Corpora whose utterance ids name the speaker.
_SPEAKERS = {"an4": re.compile(r"[^-]+-([^-]+)-[^-]+"), "librispeech": re.compile(r"(\d+)-\d+-\d+")}


@dataclass(frozen=True)
class Result:
    """One cell with its finished rows.

    Attributes:
        key: the cell's name in the run's folder.
        rows: by utterance id.
        labels: names of the cell and its parts, where they are not the specs.
    """

    cell: Cell
    key: str
    rows: Mapping[str, Mapping[str, Any]]
    labels: Labels = field(default_factory=dict)

    @property
    def system(self) -> tuple[str, str, str, int]:
        """The attacked system: model, defense, data and seed."""
        return self.cell.model, self.cell.defense, self.cell.data, self.cell.seed

    @property
    def label(self) -> str:
        """Defense and attack, for messages."""
        return SEP.join([self.cell.defense, self.cell.attack])

    @property
    def system_name(self) -> str:
        """The name of its model and defense."""
        return system(self.cell.model, self.cell.defense, self.labels)

    @property
    def heading(self) -> tuple[str, str]:
        """The system in two parts, for a page."""
        return heading(self.cell.model, self.cell.defense, self.labels)

    @property
    def attack_name(self) -> str:
        """The name of its attack."""
        return shown("attack", self.cell.attack, self.labels)

    @property
    def data_name(self) -> str:
        """The name of its corpus."""
        return shown("data", self.cell.data, self.labels)

    @property
    def name(self) -> str:
        """Its name: model, defense and attack, or their labels."""
        return cell_name(self.cell, self.labels)

    @property
    def targeted(self) -> bool:
        """Whether the attack wants a certain transcript."""
        return any(row.get("target") is not None for row in self.rows.values())

    @cached_property
    def unit(self) -> str:
        """The unit of errors: ``words``, or ``chars`` if the texts are written without spaces
        between words."""
        return unit_of(letters(str(row.get("reference", ""))) for row in self.rows.values())

    @property
    def metric(self) -> str:
        """WER or CER: the error rate in that unit."""
        return METRICS[self.unit]

    def errors(self, which: str = "adversarial") -> tuple[list[int], list[int]]:
        """Errors and words (or characters) of each utterance, in the order of the rows."""
        counts = [row["counts"][which] for row in self.rows.values() if row["counts"][which]]
        pairs = [count[self.unit] for count in counts]
        return [edits for edits, _ in pairs], [total for _, total in pairs]

    @cached_property
    def error_rate(self) -> float | None:
        """Word (or character) error rate of the judge's transcripts, in percent."""
        return rate(*self.errors())

    @cached_property
    def interval(self) -> tuple[float, float] | None:
        """Its 95 % bootstrap interval over utterances."""
        return bootstrap(*self.errors())

    @cached_property
    def snr_db(self) -> float | None:
        """Mean signal-to-noise ratio of the perturbations."""
        values = [row["snr_db"] for row in self.rows.values() if row.get("snr_db") is not None]
        return sum(values) / len(values) if values else None


def read_results(folder: Path) -> list[Result]:
    """The cells of a run in the order of the request, with their rows.

    Raises:
        StoreError: the folder has no run, or a damaged one.
    """
    store = Store(folder)
    if not store.run():
        if (folder / "standard.json").is_file():
            raise StoreError(
                f"{folder}: this is of `melmoat evaluate`, and standard.json is its result; its "
                f"attacks are a run, {folder / 'members'}, whose cells have not the same utterances"
            )
        raise StoreError(
            f"{folder}: no run.json here; expected the folder of `melmoat bench --out`"
        )
    labels = store.labels()
    return [
        Result(cell, key, {row["id"]: row for row in store.rows_of(key)}, labels.get(cell, {}))
        for cell, key in store.keys().items()
    ]


@dataclass(frozen=True)
class Comparison:
    """Error rate of one result minus that of another, on their common utterances.

    Attributes:
        ours, other: names of the two.
        against: the text that transcripts are compared with, ``reference`` or ``target``.
        n: number of common utterances.
        difference: with its interval over utterances; None below two utterances.
        speakers: number of speakers; None if unknown.
        by_speaker: the difference with its interval over speakers; None below ``MIN_SPEAKERS``.
        needed: number of utterances that would show such a difference (95 %, power 80 %).
        among: how many comparisons were made, this one included.
        metric: whether the rate is the WER or the CER.
    """

    ours: str
    other: str
    against: str
    n: int
    difference: Difference | None
    speakers: int | None = None
    by_speaker: Difference | None = None
    needed: int | None = None
    among: int = 1
    metric: str = "WER"

    @property
    def stands(self) -> bool:
        """Whether the difference stands among all comparisons (Bonferroni, 95 %)."""
        return self.difference is not None and self.difference.p < 0.05 / self.among

    def __str__(self) -> str:
        d = self.difference
        if d is None:
            return f"{self.ours} minus {self.other}: too few utterances in common ({self.n})"
        return (
            f"{self.ours} minus {self.other}: {d.points:+.1f} points "
            f"[{d.low:+.1f}, {d.high:+.1f}], p {p_text(d.p)}, n = {self.n}"
        )


@dataclass(frozen=True)
class RowComparison(Comparison):
    """The same of two rows of runs.

    Attributes:
        normalisers: of the texts of the two, if they differ: one may forgive what the other counts.
    """

    normalisers: tuple[str, str] | None = None


def p_text(p: float) -> str:
    """A p-value for printing.

    >>> p_text(0.0004), p_text(0.0312)
    ('< 0.001', '= 0.031')
    """
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def same_words(ours: Result, other: Result, target: bool = False) -> bool:
    """Whether both count errors against the same number of words (or characters) per utterance.

    They do not if two recognizers spell or normalise the same text differently.

    Args:
        target: count the words of the attacker's text instead.
    """
    which = "target" if target else "adversarial"

    def count(result: Result, name: str) -> int:
        words: int = result.rows[name]["counts"][which][ours.unit][1]
        return words

    both = ours.rows.keys() & other.rows.keys()
    return ours.unit == other.unit and all(count(ours, name) == count(other, name) for name in both)


def compare(
    ours: Result,
    other: Result,
    speakers: Mapping[str, str] | None = None,
    names: tuple[str, str] | None = None,
    points: float | None = None,
    among: int = 1,
    target: bool = False,
) -> RowComparison:
    """Compare two results by the paired bootstrap.

    Args:
        speakers: the speaker of each utterance, if known (:func:`speakers_of`).
        names: names of the two; if None, their defense and attack.
        points: the difference for ``needed``; if None, the observed one.
        among: number of comparisons; there are enough sign flips for a p-value that stands among
            them.
        target: compare the WER against the attacker's text.

    Raises:
        StoreError: the same ids have different texts or targets, or an attack has no target; or the
            two count different words, because their texts are spelled differently.
    """
    both = sorted(ours.rows.keys() & other.rows.keys())
    first, second = (replace(r, rows={i: r.rows[i] for i in both}) for r in (ours, other))
    against, counts = ("target", "target") if target else ("reference", "adversarial")
    (edits, words), (others, theirs) = first.errors(counts), second.errors(counts)
    if min(len(words), len(theirs)) < len(both):
        raise StoreError(f"{ours.label}, {other.label}: not both are targeted attacks")
    pairs = [(str(first.rows[i].get(against)), str(second.rows[i].get(against))) for i in both]
    if not all(same_text(*pair) for pair in pairs):
        raise StoreError(f"{ours.label}, {other.label}: the same ids have different {against}s")
    if not same_words(first, second, target):
        raise StoreError(
            f"{ours.label}, {other.label}: their texts are spelled or normalised differently, so "
            "their errors are counted in different words"
        )
    groups = [speakers[i] for i in both] if speakers and all(i in speakers for i in both) else []
    enough = len(set(groups)) >= MIN_SPEAKERS
    flips = max(FLIPS, 80 * among)
    return RowComparison(
        *(names or (ours.label, other.label)),
        against,
        len(both),
        paired(edits, others, words, flips=flips),
        len(set(groups)) or None,
        paired(edits, others, words, flips=flips, groups=groups) if enough else None,
        needed(edits, others, words, points),
        among,
        ours.metric,
        _normalisers(first, second),
    )


def _normalisers(ours: Result, other: Result) -> tuple[str, str] | None:
    one, two = (
        " and ".join(sorted({row.get("normaliser", "none") for row in result.rows.values()}))
        for result in (ours, other)
    )
    return None if one == two else (one, two)


def speakers_of(corpus: str, ids: Iterable[str]) -> dict[str, str] | None:
    """The speaker of each utterance, from its id if the corpus writes it there, or from the corpus.

    None if the corpus cannot be read or does not name speakers.
    """
    wanted = list(ids)
    pattern = _SPEAKERS.get(corpus.partition(":")[0])
    if pattern is not None:
        matches = {i: pattern.fullmatch(i) for i in wanted}
        speakers = {i: match[1] for i, match in matches.items() if match}
    else:
        try:
            cuts = _speakers(corpus)
        except MelmoatError:
            return None
        speakers = {i: cuts[i] for i in wanted if cuts.get(i)}
    return speakers if len(speakers) == len(wanted) else None


@lru_cache(maxsize=8)
def _speakers(corpus: str) -> Mapping[str, str | None]:
    return {cut.id: cut.supervisions[0].speaker for cut in data.listed(corpus)}


def as_json(value: Any) -> str:
    """The results of a command as JSON."""
    return json.dumps(value, indent=1, ensure_ascii=False)

"""What an evaluation found, as an object and as a JSON file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from melmoat.analysis.audit import Verdict
from melmoat.analysis.evidence import Finding
from melmoat.analysis.missing import utterances
from melmoat.analysis.results import speakers_of
from melmoat.bench.provenance import machine, revision, versions
from melmoat.standard.book import Book, Candidate
from melmoat.standard.engine import Measured
from melmoat.standard.figures import CLEAN, Figures, HalfPoint, figures, half_point
from melmoat.standard.levels import Level
from melmoat.standard.members import DRAWS, MATCHED, VERSION, WALKS, named
from melmoat.standard.verdict import Evidence, verdict

SCHEMA = 2


@dataclass(frozen=True)
class MemberLine:
    """What one member did at one level.

    Attributes:
        attacked: utterances that it attacked.
        added: points of capped error rate that it added to the members before it.
        worst: utterances whose worst case at this level is this member's, here or at a smaller
            level. So it may be more than ``attacked``: what has fallen there is left alone here.
    """

    level: str
    member: str
    defense: str
    attack: str
    data: str
    attacked: int
    added: float
    worst: int


@dataclass(frozen=True)
class Cost:
    """What was spent on one utterance, over all levels.

    Attributes:
        passes: of the recognizer by attacks that compute gradients; every draw counts.
        queries: transcripts for attacks that only hear, and to choose between candidates.
        seconds: time of crafting, a share of the batch's.
    """

    passes: int
    queries: int
    seconds: float


@dataclass(frozen=True)
class Utterances:
    """What a paired comparison of systems needs, one number an utterance.

    Attributes:
        ids: names of the utterances.
        normaliser: what texts are compared after; None if letter for letter. Systems with different
            ones count different words.
        lengths: words of what was said; characters where ``metric`` is CER.
        capped: errors, at most the length: the mean over the judging draws. By level, with
            ``clean``.
    """

    ids: tuple[str, ...]
    normaliser: str | None
    lengths: tuple[int, ...]
    capped: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class Result:
    """The result of one system.

    Attributes:
        draws: how many judged, and as many others chose; 1 if two passes do not differ.
        eot: draws of each step, by level.
        clean, levels: the figures.
        half: the SNR at which half of the words are wrong.
        findings: every check of the verdict.
        needed: utterances that would settle what is open; 0 if nothing is, or nobody knows.
        failures: errors of members by utterance. Those under ``clean`` are of utterances that were
            not heard even without an attack: they are in no figure.
        cost: by utterance.
        utterances: the errors of each one.
    """

    version: str
    effort: str
    model: str
    defense: str
    data: str
    seed: int
    n: int
    draws: int
    eot: Mapping[str, int]
    metric: str
    clean: Figures
    levels: tuple[Figures, ...]
    half: HalfPoint | None
    members: tuple[MemberLine, ...]
    findings: tuple[Finding, ...]
    verdict: Verdict
    needed: int
    failures: Mapping[str, Mapping[str, str]]
    cost: Mapping[str, Cost]
    utterances: Utterances
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def publishable(self) -> bool:
        """Whether the full effort was made."""
        return self.effort == "full"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, "publishable": self.publishable, **asdict(self)}


def _aimed(m: Measured, level: Level) -> Mapping[str, Candidate]:
    """What wanted the matched target: where several members did, the nearest to it."""
    names = dict.fromkeys(named(f"target {MATCHED}", walk) for walk in WALKS)
    both = [found for name in names if (found := m.book.of(level, name))]
    if m.stochastic:  # a choice would be made on judging draws
        both = both[:1]

    def missed(candidate: Candidate) -> tuple[bool, int]:
        row = candidate.row
        return not row["reached"], row["counts"]["target"][m.book.unit][0]

    every = {i: [found[i] for found in both if i in found] for i in m.book.ids}
    return {i: min(several, key=missed) for i, several in every.items() if several}


def result_of(measured: Measured, device: str) -> Result:
    """The figures, the verdict and the cost of what was measured."""
    m, book = measured, measured.book
    evidence = Evidence(
        m.subject, book, m.levels, m.probe, m.stochastic, m.doubled, m.rounds, m.failed
    )
    findings = evidence.findings()
    speakers = speakers_of(m.subject.data, book.ids)
    of_levels = [figures(book, level, speakers, _aimed(m, level)) for level in m.levels]
    asked = [level for level in m.levels if level in (*m.effort.levels, *m.effort.quiet)]
    return Result(
        version=VERSION,
        effort=m.effort.label,
        model=m.subject.model,
        defense=m.subject.defense,
        data=m.subject.data,
        seed=m.subject.seed,
        n=len(book.ids),
        draws=DRAWS if m.stochastic else 1,
        eot={level.name: count for level, count in m.draws.items()},
        metric="WER" if book.unit == "words" else "CER",
        clean=figures(book, None, speakers),
        levels=tuple(of_levels),
        half=half_point(book, asked),
        members=tuple(_lines(m, evidence, of_levels)),
        findings=findings,
        verdict=verdict(findings),
        needed=utterances(findings),
        failures=m.failures,
        cost=_costs(m),
        utterances=utterances_of(book, m.levels),
        about={
            "probe": asdict(m.probe),
            "versions": versions(),
            "machine": machine(device),
            "revision": revision(),
        },
    )


def utterances_of(book: Book, levels: Sequence[Level]) -> Utterances:
    """The judged errors of the worst case of each utterance."""
    clean = [book.clean[name] for name in book.ids]
    worst = {lv.name: [book.worst(lv, name) for name in book.ids] for lv in levels}
    return Utterances(
        ids=book.ids,
        normaliser=clean[0].row.get("normaliser"),
        lengths=tuple(map(book.total, book.ids)),
        capped={name: tuple(book.judged(c)) for name, c in ({CLEAN: clean} | worst).items()},
    )


def _lines(m: Measured, evidence: Evidence, of_levels: list[Figures]) -> list[MemberLine]:
    worst = {found.level: found.by for found in of_levels}
    return [
        MemberLine(
            level.name,
            member.name,
            member.cell.defense,
            member.cell.attack,
            member.cell.data,
            len(m.book.of(level, member.name)),
            evidence.contrasts.added(level, member.name),
            worst[level.name].get(member.name, 0),
        )
        for level, member in m.book.members
    ]


def _costs(m: Measured) -> dict[str, Cost]:
    found = {}
    for name in m.book.ids:
        mine = [
            (member.role, candidates[name])
            for level, member in m.book.members
            if name in (candidates := m.book.of(level, member.name))
        ]
        passes = sum(_passes(c) for role, c in mine if "blocks" not in c.member)
        queries = sum(c.row["queries"] or 0 for _, c in mine if "blocks" in c.member)
        chosen = sum(len(c.draws("choosing")) for _, c in mine)
        seconds = sum(c.row["seconds"] for _, c in mine)
        found[name] = Cost(passes, queries + chosen, round(seconds, 2))
    return found


def _passes(candidate: Candidate) -> int:
    """Passes of the system, or of the one that a transferred attack was crafted on."""
    return int(candidate.row["queries"] or candidate.row["steps"])


def at(result: Result, level: Level) -> Figures:
    """The figures of one level.

    Raises:
        KeyError: it was not measured.
    """
    return {found.level: found for found in result.levels}[level.name]

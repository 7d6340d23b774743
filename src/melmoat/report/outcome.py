"""What a run shows, in plain words and in one example to listen to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from melmoat.analysis.results import Result, compare, p_text
from melmoat.analysis.variants import setting
from melmoat.bench.store import StoreError
from melmoat.progress import span
from melmoat.report.digest import SystemSummary, strongest
from melmoat.report.listening import Players
from melmoat.report.naming import attack_name


@dataclass(frozen=True)
class Outcome:
    """The sentences on the systems of one corpus and seed."""

    data: str
    seed: int
    sentences: tuple[str, ...]


def outcomes(systems: Sequence[SystemSummary]) -> list[Outcome]:
    """What was measured on each corpus, in the order of the run."""
    made = []
    for data, seed in dict.fromkeys((s.data, s.seed) for s in systems):
        here = [s for s in systems if (s.data, s.seed) == (data, seed)]
        sentences = [*_undefended(here), *_defended(here), *_cost(here)]
        if sentences:
            made.append(Outcome(here[0].data_name, seed, tuple(sentences)))
    return made


def featured(systems: Sequence[SystemSummary], players: Sequence[Players]) -> Players | None:
    """The players of the run's clearest example: of the strongest attack that can be heard, on an
    undefended system if there is one, the utterance to which it did most."""
    heard = {p.result.key for p in players}
    bare = [s for s in systems if s.defense == "none"]
    for pool in (bare, systems):
        tried = [r for s in pool for r in (*s.tried, *s.targeted) if r.key in heard]
        if chosen := strongest(tried):
            own = [p for p in players if p.result.key == chosen.key]
            return max(own, key=_harm)
    return players[0] if players else None


def _harm(players: Players) -> tuple[bool, int]:
    row, unit = players.result.rows[players.utterance], players.result.unit
    counts = row["counts"]
    return bool(row.get("reached")), counts["adversarial"][unit][0] - counts["benign"][unit][0]


def _undefended(systems: Sequence[SystemSummary]) -> list[str]:
    """The first system without a defense: clean speech, noise, the strongest attack."""
    bare = next((s for s in systems if s.defense == "none" and s.benign and s.worst), None)
    if bare is None or bare.benign is None or bare.worst is None:
        return []
    worst, errors = bare.worst, "word" if bare.worst.unit == "words" else "character"
    said = (
        f"Without a defense, {bare.heading[0]} has {_rate(bare.benign)} {errors} errors on clean "
        f"speech and {_rate(worst)} under its strongest attack ({_attack(worst)})"
    )
    if noise := _control(bare, worst):
        said += f". Random noise within the same budget leaves {_rate(noise)}"
    return [said + "."]


def _defended(systems: Sequence[SystemSummary]) -> list[str]:
    """The defended system that loses least under its own strongest attack."""
    every = [s for s in systems if s.defense != "none" and s.worst]
    if not every:
        return []
    # A number with signs against it is the lowest of all too easily.
    defended = [s for s in every if not s.suspect] or every
    most = max(len(s.worst.rows) for s in defended if s.worst)
    whole = [s for s in defended if s.worst and len(s.worst.rows) == most]
    best = min(whole, key=lambda s: (s.worst.error_rate or 0.0) if s.worst else 0.0)
    assert best.worst is not None
    clean = f" and {_rate(best.benign)} on clean speech" if best.benign else ""
    of = f", the lowest of {len(defended)} defended systems" if len(defended) > 1 else ""
    if suspect := len(every) - len(defended):
        of += f" ({suspect} suspect {'one' if suspect == 1 else 'ones'} left out)"
    said = f"{best.name} has {_rate(best.worst)} under its strongest attack "
    said += f"({_attack(best.worst)}){of}{',' if of and clean else ''}{clean}."
    if best.suspect:
        said += " The audit finds signs of a false sense of security in it."
    elif best.audited.verdict == "incomplete":
        said += " The audit lacks evidence, so a better attack may do more."
    bare = next((s for s in systems if s.defense == "none" and s.worst), None)
    if bare and bare.worst:
        said += _told_apart(best.worst, bare.worst, bare.name, len(every))
    return [said]


def _told_apart(ours: Result, bare: Result, name: str, among: int) -> str:
    """Whether ``ours``, one of ``among`` systems, differs from ``bare`` on the same utterances."""
    try:
        found = compare(ours, bare, among=among)
    except StoreError:  # other texts, or other words: the two rates are not comparable
        return ""
    if found.difference is None or found.stands:
        return ""
    return (
        f" On the {found.n} utterances that both have, its difference from {name} may be chance "
        f"(paired test, p {p_text(found.difference.p)})."
    )


def _cost(systems: Sequence[SystemSummary]) -> list[str]:
    """The time that crafting took."""
    attacked = [r for s in systems for r in (*s.attacked, *s.targeted)]
    seconds = [row.get("seconds") for r in attacked for row in r.rows.values()]
    known = [float(s) for s in seconds if s is not None]
    if not known or len(known) < len(seconds) or not sum(known):
        return []
    slowest = max(attacked, key=lambda r: sum(row["seconds"] for row in r.rows.values()))
    each = sum(row["seconds"] for row in slowest.rows.values()) / len(slowest.rows)
    cost = f"{each:.2g} s" if each < 10 else span(each)
    name = f"{slowest.system_name} under {attack_name(slowest.attack_name)}"
    return [
        f"All attacks together took {span(sum(known))} of computing on {len(known)} recordings; "
        f"the most went to {name}, {cost} a recording."
    ]


def _control(system: SystemSummary, attack: Result) -> Result | None:
    """Noise within the budget of ``attack``, on as many utterances."""
    budget = setting(attack.cell.attack).budget
    controls = [
        r
        for r in system.attacked
        if (made := setting(r.cell.attack)).access == "control"
        and budget is not None
        and made.budget == budget
        and len(r.rows) == len(attack.rows)
    ]
    return controls[0] if controls else None


def _rate(result: Result) -> str:
    return f"{result.error_rate:.1f}\u00a0%"


def _attack(result: Result) -> str:
    at = f"; measured SNR {result.snr_db:.0f} dB" if result.snr_db is not None else ""
    return attack_name(result.attack_name) + at

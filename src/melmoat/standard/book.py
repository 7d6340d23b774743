"""What every member did to every utterance, and the worst of it.

A candidate is one member's adversarial recording of an utterance. It was heard under two sets of
draws. The first set chooses the worst candidate and decides what is attacked further. The second
set judges what was chosen. So no choice is made on a judging draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from melmoat.metrics.errors import unit_of
from melmoat.standard.levels import Level
from melmoat.standard.members import SIZED, Member, Role
from melmoat.writing_systems import letters

Row = Mapping[str, Any]
Unit = Literal["words", "chars"]


@dataclass(frozen=True)
class Candidate:
    """One member's result on one utterance."""

    member: str
    role: Role
    level: Level | None  # None for clean speech
    row: Row

    def draws(self, which: str) -> list[dict[str, Any]]:
        """Transcripts under the ``choosing`` or the ``judging`` draws."""
        drawn: list[dict[str, Any]] = self.row["draws"][which]
        return drawn


class Book:
    """The candidates of every utterance.

    Args:
        rows: those of clean speech, one an utterance.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        clean = {row["id"]: Candidate("clean", "clean", None, row) for row in rows}
        self.ids: tuple[str, ...] = tuple(sorted(clean))
        self.clean = clean
        references = (str(candidate.row["reference"]) for candidate in clean.values())
        self.unit: Unit = "chars" if unit_of(map(letters, references)) == "chars" else "words"
        self._found: dict[Level, list[dict[str, Candidate]]] = {}
        self.members: list[tuple[Level, Member]] = []

    def add(self, level: Level, member: Member, rows: Iterable[Row]) -> None:
        """What ``member`` did at ``level``."""
        found = {
            row["id"]: Candidate(member.name, member.role, level, row)
            for row in rows
            if row["id"] in self.clean
        }
        self._found.setdefault(level, []).append(found)
        self.members.append((level, member))

    def of(self, level: Level, member: str) -> dict[str, Candidate]:
        """The candidates of one member at one level, by utterance."""
        pairs = zip(
            [m for at, m in self.members if at == level], self._found.get(level, []), strict=True
        )
        return next((found for one, found in pairs if one.name == member), {})

    def candidates(
        self, level: Level, utterance: str, roles: Iterable[Role] | None = None
    ) -> list[Candidate]:
        """Everything that is allowed at ``level``, clean speech first, then by level and order.

        Args:
            roles: only clean speech and those of these members.
        """
        wanted = None if roles is None else set(roles)
        found = [self.clean[utterance]]
        for other, several in self._found.items():
            if level.contains(other):
                found += [one[utterance] for one in several if utterance in one]
        return [c for c in found if wanted is None or c.role in wanted or c.level is None]

    def worst(self, level: Level, utterance: str, roles: Iterable[Role] | None = None) -> Candidate:
        """The candidate with most errors in the choosing draws: the first of the worst."""
        return max(self.candidates(level, utterance, roles), key=self.harm)

    def harm(self, candidate: Candidate) -> tuple[float, float]:
        """Mean errors in the choosing draws, capped and not."""
        drawn = candidate.draws("choosing")
        return (
            sum(self.capped(one) for one in drawn) / len(drawn),
            sum(self.edits(one)[0] for one in drawn) / len(drawn),
        )

    def edits(self, drawn: Mapping[str, Any]) -> tuple[int, int]:
        """Edits of one transcript, and the length of its reference."""
        if self.unit == "chars":
            edits, total = drawn["chars"]
            return edits, total
        *operations, total = drawn["words"]
        return sum(operations), total

    def capped(self, drawn: Mapping[str, Any]) -> int:
        """Edits of one transcript, at most the length of its reference."""
        return min(self.edits(drawn))

    def total(self, utterance: str) -> int:
        """Length of an utterance's reference."""
        return self.edits(self.clean[utterance].draws("judging")[0])[1]

    def fallen(self, level: Level) -> set[str]:
        """Utterances that are wholly wrong in every choosing draw of some candidate: nothing is
        left to gain. What a change of the recording breaks goes on being attacked."""
        return {name for name in self.ids if self._falls(level, name)}

    def _falls(self, level: Level, name: str) -> bool:
        total = self.total(name)
        return any(
            all(self.capped(one) >= total for one in candidate.draws("choosing"))
            for candidate in self.candidates(level, name, SIZED)
        )

    def chosen_rate(self, level: Level) -> float:
        """Capped error rate in percent over the choosing draws, without what a change of the
        recording does: for decisions, not for reports."""
        total = sum(map(self.total, self.ids))
        harm = sum(self.harm(self.worst(level, name, SIZED))[0] for name in self.ids)
        return 100 * harm / total if total else 0.0

    def judged(self, candidates: Sequence[Candidate]) -> list[float]:
        """Mean capped errors of each candidate in the judging draws."""
        return [
            sum(map(self.capped, c.draws("judging"))) / len(c.draws("judging")) for c in candidates
        ]

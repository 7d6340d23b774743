"""Certificates from counts: of one utterance, and of a whole table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from melmoat.certificates.bounds import STANDARD, clopper_pearson
from melmoat.certificates.centers import Center, steps
from melmoat.certificates.noise import lost
from melmoat.certificates.plan import Plan

System = Literal["vote", "center"]


@dataclass(frozen=True)
class Certificate:
    """What is certified of one utterance. Radii are in l2, of a full scale of 1.

    Attributes:
        id: the utterance.
        words: of its reference; what an utterance without a certificate counts as errors.
        benign: errors of one pass over the clean audio, without noise.
        vote, center: what the smoothed systems write of the clean audio; None if they abstain.
        vote_errors, center_errors: their errors against the reference; ``words`` if they abstain.
        vote_radius: no perturbation below it changes the vote; 0 if nothing is certified.
        center_steps: no perturbation below the second number moves the center by more words than
            the first. Both increase.
        level: l2 norm of the speech without its mean, for signal-to-noise ratios.
    """

    id: str
    words: int
    benign: int
    vote: str | None
    vote_errors: int
    vote_radius: float
    center: str | None
    center_errors: int
    center_steps: tuple[tuple[int, float], ...]
    level: float

    def moved(self, radius: float) -> int | None:
        """The most words by which perturbations up to ``radius`` move the center, if bounded."""
        return next((words for words, below in self.center_steps if radius < below), None)

    def errors(self, system: System, radius: float) -> int:
        """The most word errors under perturbations up to ``radius``, at most ``words``."""
        if system == "vote":
            known = radius < self.vote_radius
            return min(self.vote_errors, self.words) if known else self.words
        moved = self.moved(radius)
        return self.words if moved is None else min(self.center_errors + moved, self.words)


def certificate(row: Mapping[str, Any], plan: Plan) -> Certificate:
    """The certificate of one utterance, of its counts in a run's folder."""
    counts, rounding = row["counts"], lost(row["samples"])
    share = clopper_pearson(row["vote_hits"], plan.draws, plan.alpha_vote)
    vote_radius = plan.sigma * STANDARD.inv_cdf(share) - rounding if share > 0.5 else 0.0
    abstains = Center(row["center"], row["center_radius"], row["center_share"]).abstains(plan)
    found = {int(words): number for words, number in row["distances"].items()}
    return Certificate(
        id=row["id"],
        words=counts["words"],
        benign=counts["benign"],
        vote=row["vote"] if vote_radius > 0 else None,
        vote_errors=counts["vote"] if vote_radius > 0 else counts["words"],
        vote_radius=max(0.0, vote_radius),
        center=None if abstains else row["center"],
        center_errors=counts["words"] if abstains else counts["center"],
        center_steps=() if abstains else tuple(steps(found, plan, rounding)),
        level=row["level"],
    )


def failed(name: str, words: int) -> Certificate:
    """An utterance that could not be measured: all its words count as errors."""
    return Certificate(name, words, words, None, words, 0.0, None, words, (), math.nan)


@dataclass(frozen=True)
class Table:
    """The certificates of a run, which hold together with ``plan.confidence``.

    Attributes:
        asked: the specs of model, defense and corpus, and where the rest of the settings lie.
        failures: errors by utterance.
    """

    plan: Plan
    certificates: Sequence[Certificate]
    asked: Mapping[str, Any]
    failures: Mapping[str, str]

    def wer(self, system: System | Literal["benign"]) -> float | None:
        """Word error rate on the clean audio, percent, errors of an utterance capped at its words;
        an abstention counts all its words. ``benign`` is one pass without noise."""
        return self._rate([getattr(c, f"{system}_errors", c.benign) for c in self.certificates])

    def certified_wer(self, system: System, radius: float) -> float | None:
        """Upper bound of that rate under every perturbation of l2 norm up to ``radius``."""
        return self._rate([c.errors(system, radius) for c in self.certificates])

    def certified_right(self, radius: float) -> float:
        """Percentage of utterances whose vote is right and certified at ``radius``."""
        right = [c for c in self.certificates if not c.vote_errors and radius < c.vote_radius]
        return 100 * len(right) / len(self.certificates)

    def unmoved(self, radius: float) -> float:
        """Percentage of utterances whose center no perturbation up to ``radius`` moves at all."""
        return 100 * sum(c.moved(radius) == 0 for c in self.certificates) / len(self.certificates)

    def abstentions(self, system: System) -> int:
        """Utterances of which the system says nothing, clean as they are."""
        return sum(getattr(c, system) is None for c in self.certificates)

    def snr_db(self, radius: float) -> float | None:
        """Median signal-to-noise ratio of perturbations of norm ``radius``, dB."""
        levels = [c.level for c in self.certificates if c.level > 0]
        if not levels or radius <= 0:
            return None
        return 20 * math.log10(median(levels) / radius)

    @property
    def radii(self) -> list[float]:
        """Where a printed table looks: 0 (any small enough perturbation), then parts of sigma up to
        the last one that certifies something."""
        parts = (0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 3.5, 4)
        largest = [c.vote_radius for c in self.certificates]
        largest += [c.center_steps[-1][1] for c in self.certificates if c.center_steps]
        return [0.0] + [
            p * self.plan.sigma for p in parts if 0 < p * self.plan.sigma < max(largest)
        ]

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        curve = [
            {
                "radius": radius,
                "snr_db": self.snr_db(radius),
                "vote_right": self.certified_right(radius),
                "vote_wer": self.certified_wer("vote", radius),
                "center_unmoved": self.unmoved(radius),
                "center_wer": self.certified_wer("center", radius),
            }
            for radius in self.radii
        ]
        each = [{**asdict(c), "level": c.level if c.level > 0 else None} for c in self.certificates]
        return {
            **self.asked,
            **asdict(self.plan),
            "benign_wer": self.wer("benign"),
            "vote_clean_wer": self.wer("vote"),
            "center_clean_wer": self.wer("center"),
            "vote_abstentions": self.abstentions("vote"),
            "center_abstentions": self.abstentions("center"),
            "curve": curve,
            "failures": dict(self.failures),
            "certificates": each,
        }

    def _rate(self, errors: Sequence[int]) -> float | None:
        capped = [min(n, c.words) for n, c in zip(errors, self.certificates, strict=True)]
        total = sum(c.words for c in self.certificates)
        return 100 * sum(capped) / total if total else None

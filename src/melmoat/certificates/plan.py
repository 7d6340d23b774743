"""How many draws are made, and how the allowed error is shared out."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field

from melmoat.certificates.bounds import hoeffding
from melmoat.errors import MelmoatError


@dataclass(frozen=True)
class Plan:
    """The settings that a certificate depends on. All are fixed before anything is drawn.

    The stated confidence is that of the whole table. So the allowed error ``1 - confidence`` is
    shared equally by the utterances (Bonferroni, which needs no independence). In each utterance,
    half goes to the vote's certificate, a quarter to the center's, and a quarter to one call of the
    smoothed system on the attacked audio.

    Args:
        sigma: standard deviation of the noise; full scale is 1.
        draws: draws that certify an utterance.
        utterances: how many utterances share the error.
        confidence: of the whole table, percent.
        center_draws: draws that choose a center, and again as many that check it; 0 = ``draws``.
        delta: the paper's Delta, below 1/2: a center is only used if its ball has a share of at
            least ``1/2 - delta``. A larger one abstains less and certifies less. 0 chooses the
            smallest one that leaves room for chance (two standard deviations).

    Raises:
        MelmoatError: a value is out of range, or no draws could ever certify a center.
    """

    sigma: float
    draws: int
    utterances: int
    confidence: float = 99.9
    center_draws: int = 0
    delta: float = 0.0
    alpha: float = field(init=False)  # each utterance's share

    def __post_init__(self) -> None:
        if not 0 < self.sigma < math.inf:
            raise MelmoatError(f"sigma must be a positive number, got {self.sigma}")
        if not 0 < self.confidence < 100:
            raise MelmoatError(f"confidence is a percentage below 100, got {self.confidence}")
        if self.draws < 1 or self.center_draws < 0 or self.utterances < 1:
            raise MelmoatError("draws and utterances must be at least 1")
        if not 0 <= self.delta < 0.5:
            raise MelmoatError(f"delta must be at least 0 and below 1/2, got {self.delta}")
        object.__setattr__(self, "alpha", (1 - self.confidence / 100) / self.utterances)
        object.__setattr__(self, "center_draws", self.center_draws or self.draws)
        chosen = self.slack + 1 / math.sqrt(self.center_draws)
        object.__setattr__(self, "delta", self.delta or chosen)
        if self.slack > self.delta or 0.5 + self.delta + self.margin >= 1:
            raise MelmoatError(
                f"{self.draws} draws ({self.center_draws} for a center) are too few to certify "
                f"{self.utterances} utterance(s) at {self.confidence:g} %: {self._advice()}"
            )

    @property
    def alpha_vote(self) -> float:
        """Error of one utterance's certificate of the vote."""
        return self.alpha / 2

    @property
    def alpha_call(self) -> float:
        """The paper's alpha_1: error of one call of the smoothed system."""
        return self.alpha / 4

    @property
    def alpha_center(self) -> float:
        """The paper's alpha_2: error of one utterance's certificate of the center."""
        return self.alpha / 4

    @property
    def slack(self) -> float:
        """The paper's Delta_1."""
        return hoeffding(self.center_draws, self.alpha_call, sides=2)

    @property
    def margin(self) -> float:
        """What is added to a quantile in the paper's algorithm 2."""
        return hoeffding(self.draws, self.alpha_center)

    def _advice(self) -> str:
        for n in itertools.count(2):
            slack = hoeffding(n, self.alpha_call, sides=2)
            if 0.5 + slack + 1 / math.sqrt(n) + hoeffding(n, self.alpha_center) < 1:
                return f"take at least {n} of each and leave delta out, or fewer utterances"
        raise AssertionError  # the sum falls to 1/2

"""Against defenses that round the samples: which of them cross to another level.

Behind a rounding (``mulaw``, ``quantize``) the recognizer hears levels only. A step of gradient
descent through BPDA moves all samples a little, and most of that is rounded away. But a sample
needs only to cross the edge of its level to be heard a whole step away. So this attack chooses
crossings. Let ``s`` be the sum of all gradients so far, each of unit norm (dual averaging, Nesterov
2009), ``y`` the levels and ``c`` the square of the distance to a level's nearest edge. It takes the
levels that minimise

    ``sum of s (y - y_clean)``  with  ``sum of c <= radius^2``

This is a knapsack. Steps of one level are taken in the order of gain over cost, until the budget is
spent. Where each further step of a sample costs more, that order is the best one up to the last
step. (It does, except across zero on a coarse mu-law scale.) In the linf box every sample takes the
last level within radius and reach, on the side of lower loss.

Where levels are so fine that ``reach`` of them do not spend the budget, gradient descent does more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from melmoat.attacks.base import AttackError, Goal
from melmoat.attacks.budgets import TINY, within_scale
from melmoat.attacks.dual_averaging import DualAveraging
from melmoat.attacks.oracle import LossOracle
from melmoat.attacks.search import check_search
from melmoat.audio import PCM16, Audio
from melmoat.defenses.base import Rounding
from melmoat.draws import Draws
from melmoat.models.base import Recognizer

HIGHEST = (PCM16 - 1) / PCM16  # of a 16-bit file
SPENT = 1 - 1e-5  # of the squared radius, which float sums must not exceed
SPREAD, HALVINGS = 30.0, 14  # of the logarithm of gain over cost, where the budget ends


@dataclass(frozen=True)
class Lattice(DualAveraging):
    """Chooses the samples that a rounding defense hears another level of.

    Args:
        reach: most levels that a sample may move.

    It needs a defense that rounds before anything else, with ``gradient=bpda``. Budget as for
    :class:`ThreatModel`, other options as for :class:`GradientSearch`.
    """

    reach: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_search(self, reach=self.reach)

    def __call__(self, model: Recognizer, audio: Audio, goal: Goal, draws: Draws) -> Audio:
        """As :class:`melmoat.attacks.Attack`.

        Raises:
            AttackError: nothing is rounded, or no gradient flows through the rounding.
        """
        _rounding(model)
        return super().__call__(model, audio, goal, draws)

    def choice(self, oracle: LossOracle) -> Callable[[Tensor], Tensor]:
        """As :meth:`DualAveraging.choice`, for what the recognizer hears of a perturbation."""
        crossings = Crossings(_rounding(oracle.model), oracle.clean, self.reach)
        radius = self.budget.radius(oracle.clean)
        choose = crossings.within if self.norm == "linf" else crossings.cheapest
        return lambda score: choose(score, radius)


class Crossings:
    """The ways of each sample to the levels next to its own.

    Args:
        rounding: what rounds.
        clean: the audio, on the grid of 16-bit files.
        reach: levels on each side.
    """

    def __init__(self, rounding: Rounding, clean: Audio, reach: int) -> None:
        wav = clean.wav
        shape = (2, len(wav), reach, wav.shape[1])
        self._moves, self._cost, self._worth = (wav.new_zeros(shape) for _ in range(3))
        own = torch.round(rounding.scale(wav))
        heard = rounding.level(own)
        for i, side in enumerate((1, -1)):
            gain, cost = torch.zeros_like(wav), torch.zeros_like(wav)  # of the levels before
            least, open_ = torch.full_like(wav, torch.inf), clean.mask
            for number in range(reach):
                place = own + side * (number + 1)
                # The first point of a 16-bit file behind the edge.
                edge = rounding.level(place - side / 2) * PCM16
                point = (torch.floor(edge + 1) if side > 0 else torch.ceil(edge - 1)) / PCM16
                move = point - wav
                there = torch.round(rounding.scale(wav + move)) == place
                inside = (within_scale(move, wav) == move) & (point <= HIGHEST)
                open_ = open_ & there & inside  # what lies behind a gap is closed
                before, gain = gain, (rounding.level(place) - heard).abs()
                spent, cost = cost, move.square()
                least = torch.minimum(least, (gain - before) / (cost - spent).clamp(min=TINY))
                self._moves[i, :, number] = move * open_
                self._cost[i, :, number] = (cost - spent) * open_
                self._worth[i, :, number] = least * open_

    def cheapest(self, score: Tensor, radius: Tensor) -> Tensor:
        """The perturbation within an l2 ``radius`` (shape ``[B]``) that lowers ``score`` times the
        levels most. Shape: ``[B, T]``."""
        upward = score < 0
        far = _of(self._moves, upward).square() > radius.square()[:, None, None]
        ratio = (score.abs()[:, None] * _of(self._worth, upward)).masked_fill(far, 0)
        cost = _of(self._cost, upward)
        high = ratio.amax((1, 2)).clamp(min=TINY).log() + 1  # nothing is taken
        low = high - SPREAD
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            spent = (cost * (ratio > middle.exp()[:, None, None])).sum((1, 2))
            fits = spent <= radius.square() * SPENT
            high, low = torch.where(fits, middle, high), torch.where(fits, low, middle)
        return self._moved((ratio > high.exp()[:, None, None]).sum(1), upward)

    def within(self, score: Tensor, radius: Tensor) -> Tensor:
        """The same for a box of half-width ``radius``. Shape: ``[B, T]``."""
        upward = score < 0
        near = _of(self._moves, upward).abs() <= radius[:, None, None]
        some = near & (_of(self._worth, upward) > 0) & (score != 0)[:, None]
        return self._moved(some.sum(1), upward)

    def _moved(self, levels: Tensor, upward: Tensor) -> Tensor:
        """The change of each sample that moves it by so many levels."""
        place = (levels - 1).clamp(min=0)[:, None]
        move = _of(self._moves, upward).gather(1, place)[:, 0]
        return move.masked_fill(levels == 0, 0)


def _of(table: Tensor, upward: Tensor) -> Tensor:
    """Each sample's side of a table. Shape: ``[2, B, reach, T]`` -> ``[B, reach, T]``."""
    return torch.where(upward[:, None], table[0], table[1])


def _rounding(model: Recognizer) -> Rounding:
    rounding = getattr(model, "rounding", None)
    if not isinstance(rounding, Rounding):
        raise AttackError(
            "lattice attacks a defense that rounds the samples before anything else, and needs its "
            "gradient=bpda: mulaw:gradient=bpda, quantize:gradient=bpda, or a chain that begins "
            "with one of these"
        )
    return rounding

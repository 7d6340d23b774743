from itertools import product

import torch

from melmoat.attacks import ThreatModel
from melmoat.attacks.budgets import Budget
from melmoat.audio import Audio
from melmoat.standard.levels import L2, LINF, Level, in_order

LEVELS = (*L2, LINF, Level("linf", 20.0))


def budget(level: Level) -> Budget:
    return ThreatModel(norm="snr" if level.norm == "l2" else "linf", db=level.db).budget


def test_a_level_contains_exactly_those_whose_largest_changes_it_allows(ragged: Audio) -> None:
    sign = torch.ones_like(ragged.wav) * ragged.mask  # the corner of the box
    spike = torch.zeros_like(ragged.wav)
    spike[:, 0] = 1.0  # the l2 ball's largest sample
    for outer, inner in product(LEVELS, LEVELS):
        radius = budget(inner).radius(ragged)[:, None]
        largest = [radius * sign, radius * spike]
        if inner.norm == "l2":
            largest[0] = radius * sign / sign.norm(dim=1, keepdim=True)
        limit = 1.0001 * budget(outer).radius(ragged)
        inside = all((budget(outer).norm(one) <= limit).all() for one in largest)
        assert outer.contains(inner) == inside, (outer, inner)


def test_what_is_contained_comes_first() -> None:
    levels = in_order(LEVELS)
    for i, level in enumerate(levels):
        assert not any(level.contains(later) for later in levels[i + 1 :])

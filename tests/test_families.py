"""Every part has a row in its family's table of invariants, as CONTRIBUTING.md says."""

import pytest

from melmoat.attacks import ATTACKS
from melmoat.defenses import DEFENSES
from melmoat.detectors import DETECTORS
from melmoat.models import MODELS
from tests.attacks import test_family as attacks
from tests.defenses import test_family as defenses
from tests.detectors import test_family as detectors
from tests.models import test_family as models

ROWS = {
    "attack": (ATTACKS.table, attacks.SPECS, {"python"}),
    "defense": (
        DEFENSES.table,
        defenses.FRONT_ENDS,
        {"python", "rs", "voted"},
    ),  # the last two vote
    "detector": (DETECTORS.table, detectors.SPECS, {"python"}),
    "model": (MODELS.table, models.SPECS, models.ELSEWHERE),
}


@pytest.mark.parametrize("family", ROWS)
def test_every_part_has_a_row(family: str) -> None:
    table, rows, elsewhere = ROWS[family]
    assert set(table) <= {row.partition(":")[0] for row in rows} | elsewhere

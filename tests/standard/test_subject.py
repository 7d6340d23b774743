"""What the standard takes as a system."""

import pytest

from melmoat.errors import MelmoatError
from melmoat.standard.subject import subject


@pytest.mark.parametrize(
    "defense",
    [
        "mulaw:gradient=bpda",
        "mdnf:gradient=resampled",
        "voted:(mdnf:gradient=bpda),votes=2",
        "chain:wgn,then=mulaw:gradient=bpda",
    ],
)
def test_a_system_may_not_weaken_its_attackers(defense: str) -> None:
    with pytest.raises(MelmoatError, match="leave out gradient="):
        subject("ds2-an4", defense, "demo")


def test_a_defense_without_a_gradient_of_its_own_is_taken() -> None:
    assert subject("ds2-an4", "mulaw", "demo").variants["bpda"] == "mulaw:gradient=bpda"

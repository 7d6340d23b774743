import pytest

from melmoat.standard.book import Book
from melmoat.standard.levels import Level
from melmoat.standard.probe import Probe
from melmoat.standard.subject import Subject
from melmoat.standard.verdict import UNDOUBLED, Evidence
from tests.standard.rows import member, row

L20 = Level("l2", 20.0)


@pytest.mark.parametrize(
    ("doubled", "status", "text"),
    [
        (["apgd"], "open", UNDOUBLED),
        (["apgd", "apgd, 2 draws"], "ok", ""),
        ([], "ok", "left nothing"),
    ],
)
def test_draws_that_were_not_doubled_show_no_convergence(
    doubled: list[str], status: str, text: str
) -> None:
    names = [f"{n:02}" for n in range(30)]
    found = Book([row(name, "GO ON", ["GO ON"] * 2) for name in names])
    for name in doubled:
        found.add(L20, member(name), [row(n, "GO ON", ["GO NO"] * 2) for n in names])
    evidence = Evidence(
        Subject("m", "rs", "x", stochastic=True, votes=5),
        found,
        [L20],
        Probe(True, True, True, 1.0, 1.0),
        True,
        {L20: doubled},
        {},
        {},
    )
    findings = {finding.check: finding for finding in evidence.findings()}
    assert findings["EOT"].status == status
    assert text in findings["EOT"].text
    assert findings["EOT converged"].status == status

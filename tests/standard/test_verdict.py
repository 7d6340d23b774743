from typing import Any

import pytest

from melmoat.analysis.evidence import Finding
from melmoat.standard.book import Book
from melmoat.standard.levels import Level
from melmoat.standard.probe import Probe
from melmoat.standard.subject import Subject
from melmoat.standard.verdict import UNDOUBLED, Evidence
from tests.standard.rows import member, row

L20, L30 = Level("l2", 20.0), Level("l2", 30.0)


@pytest.mark.parametrize(
    ("doubled", "status", "text"),
    [
        (["pgd"], "open", UNDOUBLED),
        (["pgd", "pgd, 2 draws"], "ok", ""),
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


@pytest.mark.parametrize("gradient", [None, 0.0, 0.5])
def test_a_stand_in_for_a_gradient_is_no_exact_one(gradient: float | None) -> None:
    def findings(**variants: str) -> dict[str, Finding]:
        one = Subject("m", "d", "x", differentiable=False, approximate=True, variants=variants)
        looked = Probe(False, True, True, gradient, 0.0)
        evidence = Evidence(one, Book([]), [L20], looked, False, {}, {}, {})
        return {found.check: found for found in (evidence._live_gradient(), evidence._exact())}

    found = findings(bpda="d:gradient=bpda", soft="d:gradient=soft")
    assert found["live gradient"].status == ("ok" if gradient else "sign")
    assert ("a stand-in, as declared" in found["live gradient"].text) == bool(gradient)
    assert found["exact gradient"].status == "ok"
    assert found["exact gradient"].text.endswith("stand-in; also tried: bpda, soft")
    assert findings()["exact gradient"].status == "open"


@pytest.mark.parametrize(("own", "status"), [("target", "ok"), ("apgd", "sign")])
def test_what_fell_at_a_smaller_budget_says_nothing_of_a_larger_one(own: str, status: str) -> None:
    names = [f"{n:02}" for n in range(30)]
    right, wrong = ([row(n, "GO ON", [text]) for n in names] for text in ("GO ON", "NO"))
    found = Book(right)
    found.add(L30, member("apgd"), wrong)
    found.add(L20, member("noise", "noise"), right[:1])
    found.add(L20, member(own, "targeted" if own == "target" else "gradient"), right)
    probe = Probe(False, True, True, 1.0, 1.0)
    subject = Subject("m", "none", "x")
    evidence = Evidence(subject, found, [L30, L20], probe, False, {}, {}, {})
    findings = {finding.check: finding for finding in evidence.findings()}
    assert findings["smaller budgets"].status == status


def evidence(found: Book, levels: list[Level], **about: Any) -> dict[str, Finding]:
    """The findings of a system without randomness, by check."""
    probe = Probe(False, True, True, 1.0, about.pop("followed", 1.0))
    subject = Subject("m", "none", "x", **about)
    made = Evidence(subject, found, levels, probe, False, {}, {}, {})
    return {finding.check: finding for finding in made.findings()}


def test_what_a_change_of_the_recording_breaks_is_no_success_of_the_attacks() -> None:
    names = [f"{n:02}" for n in range(30)]
    right, wrong = ([row(n, "GO ON", [text]) for n in names] for text in ("GO ON", "NO"))
    found = Book(right)
    for name, role in (("noise", "noise"), ("apgd", "gradient"), ("margin", "gradient")):
        found.add(L20, member(name, role), right)
    found.add(L20, member("faster", "around"), wrong)
    findings = evidence(found, [L20])
    assert findings["noise of the same size"].status == "sign"
    assert findings["large budget"].status == "sign"


def test_a_larger_budget_is_not_accused_for_members_that_it_did_not_have() -> None:
    names, loud = [f"{n:02}" for n in range(30)], Level("l2", 10.0)
    right, wrong = ([row(n, "GO ON", [text]) for n in names] for text in ("GO ON", "NO"))
    found = Book(right)
    for level in (L20, loud):
        found.add(level, member("noise", "noise"), right)
        found.add(level, member("apgd"), right)
    found.add(L20, member("faster", "around"), wrong)
    assert evidence(found, [L20, loud])["smaller budgets"].status == "ok"


def test_a_stand_in_that_leads_nowhere_is_declared_only_where_no_gradient_flows() -> None:
    found = Book([row(f"{n:02}", "GO ON", ["GO ON"]) for n in range(30)])
    asked = {"followed": 0.0, "variants": {"bpda": "x"}}
    assert evidence(found, [], **asked)["live gradient"].status == "sign"
    declared = evidence(found, [], differentiable=False, approximate=True, **asked)
    assert declared["live gradient"].status == "ok"
    assert "follows it to 0 times" in declared["live gradient"].text

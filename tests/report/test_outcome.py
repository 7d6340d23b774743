"""What the top of a page says, and the addresses of its parts."""

from __future__ import annotations

import re

import pytest

from melmoat.analysis.audit import audit
from melmoat.analysis.results import Result
from melmoat.report.curves import budgets
from melmoat.report.digest import systems
from melmoat.report.naming import attack_name
from melmoat.report.outcome import outcomes
from melmoat.report.page import anchor, render
from tests.bench.hand_made import result
from tests.bench.writing import write_run
from tests.report.test_page import Page, with_audio

MADE = [
    result("none", "none", 5.0, n=30),
    result("none", "noise:db=20", 6.0, n=30),
    result("none", "pgd:db=20", 90.0, n=30, snr_db=24.0),
    result("none", "pgd:db=30", 50.0, n=30, snr_db=33.0),
    result("rs", "none", 8.0, n=30),
    result("rs", "pgd:db=20", 40.0, n=30),
    result("mdnf", "pgd:db=20", 80.0, n=30),
]


def test_the_outcome_is_that_of_the_rows() -> None:
    (found,) = outcomes(systems(MADE, audit(MADE, bare=True)))
    bare, defended, cost = (" ".join(s.replace("\u00a0", " ").split()) for s in found.sentences)
    rate = {r.key: f"{r.error_rate:.1f} %" for r in MADE}
    assert bare == (
        f"Without a defense, ds2-an4 has {rate['none-none']} word errors on clean speech and "
        f"{rate['none-pgd:db=20']} under its strongest attack (PGD, 20 dB SNR; measured SNR 24 dB)."
        f" Random noise within the same budget leaves {rate['none-noise:db=20']}."
    )
    assert defended.startswith(
        f"ds2-an4 / rs has {rate['rs-pgd:db=20']} under its strongest attack (PGD, 20 dB SNR; "
        f"measured SNR 20 dB), the lowest of 2 defended systems, and {rate['rs-none']} on clean "
        "speech."
    )
    assert "The audit" in defended
    assert "may be chance" not in defended
    assert cost.startswith("All attacks together took 75 s of computing on 150 recordings")


def _with_errors(none: list[int], rs: list[int]) -> list[Result]:
    """The same utterances of ten words, attacked, with so many words wrong in each system."""
    made = [result("none", "pgd:db=20", 60.0, n=30), result("rs", "pgd:db=20", 60.0, n=30)]
    for one, wrong in zip(made, (none, rs), strict=True):
        for row, errors in zip(one.rows.values(), wrong, strict=True):
            row["counts"]["adversarial"]["words"] = [errors, 10]
    return made


def test_a_difference_that_a_paired_test_does_not_find_is_told() -> None:
    made = _with_errors([8, 6] * 15, [6, 7] * 15)
    (found,) = outcomes(systems(made, audit(made, bare=True)))
    said = " ".join(found.sentences)
    assert "On the 30 utterances that both have, its difference from ds2-an4" in said
    assert "may be chance (paired test, p = " in said


def test_intervals_may_overlap_where_every_utterance_says_the_same() -> None:
    """Hard and easy utterances make the intervals wide; the difference is sure all the same."""
    bare, rs = made = _with_errors([9, 2] * 15, [8, 1] * 15)
    assert bare.interval is not None
    assert rs.interval is not None
    assert bare.interval[0] < rs.interval[1]
    (found,) = outcomes(systems(made, audit(made, bare=True)))
    assert "may be chance" not in " ".join(found.sentences)


def test_a_suspect_number_is_not_the_lowest() -> None:
    fooled = [result("median", "noise:db=20", 30.0, n=30), result("median", "pgd:db=20", 9.0, n=30)]
    made = [*MADE, *fooled]
    summed = systems(made, audit(made, bare=True))
    assert [s.defense for s in summed if s.suspect] == ["median"]
    (found,) = outcomes(summed)
    assert found.sentences[1].startswith("ds2-an4 / rs")
    assert "of 2 defended systems (1 suspect one left out)" in found.sentences[1]


def test_budgets_stand_at_the_snr_that_was_measured() -> None:
    assert budgets([r for r in MADE if r.cell.attack.startswith("pgd") and r.snr_db != 20]) == [
        (24.0, "budget 20 dB SNR"),
        (33.0, "budget 30 dB SNR"),
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("outcome") / "run"
    strong = result("none", "pgd:db=20", 90.0, n=30, snr_db=24.0)
    strong.rows["u002"]["counts"]["adversarial"]["words"] = [30, 10]
    write_run(folder, [strong if one is MADE[2] else one for one in MADE])
    for made in (MADE[2], MADE[5]):
        with_audio(folder, made, ["u001", "u002"])
    return render(folder)[0]


def test_the_top_has_the_clearest_example_and_listen_has_the_others(page: str) -> None:
    top, rest = page.split('id="outcome"')[1].split('id="systems"')
    listen = rest.split('id="listen"')[1].split('id="utterances"')[0]
    names = r'<article id="[^"]*" data-utterance="([^"]*)"'
    assert re.findall(names, top) == ["u002"]
    assert "<svg" in top
    assert re.findall(names, listen) == ["u001", "u001", "u002"], "the cell of the top comes first"
    options = listen.split("<form")[1].split("</form>")[0]
    assert re.findall(r"<option>([^<]*)", options) == ["u001", "u002"]


def test_rows_cells_and_examples_have_addresses(page: str) -> None:
    found = Page(page)
    ids = [attrs["id"] for _, attrs in found.found if "id" in attrs]
    assert len(ids) == len(set(ids))
    for made in MADE:
        key = made.cell.key
        assert anchor("cell", key) in ids
        assert anchor("row", key, "u007") in ids
    links = {(a["href"] or "")[1:] for a in found.all("a")}
    assert links <= set(ids)
    assert not [one for one in ids if one and re.search(r"\s", one)]


def test_attacks_have_names_for_readers(page: str) -> None:
    assert attack_name("pgd:norm=linf,db=30,steps=1,stop=true") == "PGD, 30 dB linf, 1 step, stop"
    assert attack_name("PGD 20 dB") == "PGD 20 dB", "a label stays"
    assert '<span title="pgd:db=20">PGD, 20 dB SNR</span>' in page

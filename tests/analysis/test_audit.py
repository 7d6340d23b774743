import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from melmoat.analysis.audit import CHECKS, Audited, audit, exit_code, systems
from melmoat.analysis.evidence import large
from melmoat.analysis.results import Result
from melmoat.analysis.variants import setting, siblings
from melmoat.attacks import ATTACKS
from tests.bench.hand_made import result, run

NONE, NOISE, BLACK = "none", "noise:db=20", "kenansville"
ONE, EOT5, EOT10 = "pgd:db=20", "pgd:db=20,eot=5", "pgd:db=20,eot=10"
LONG, AGAIN = "pgd:db=20,steps=500", "pgd:db=20,restarts=5"
WEAK, LOUD = "pgd:db=40", "pgd:db=0"
CLEAN = {
    NONE: 5.0,
    NOISE: 12.0,
    BLACK: 30.0,
    WEAK: 20.0,
    ONE: 60.0,
    EOT5: 61.0,
    EOT10: 61.0,
    LONG: 61.0,
    AGAIN: 60.0,
    LOUD: 100.0,
}


def only(results: list[Result]) -> Audited:
    (row,) = audit(results)
    return row


def status(row: Audited) -> dict[str, str]:
    return {finding.check: finding.status for finding in row.findings}


def test_a_clean_run_passes_every_check() -> None:
    row = only(run("rs", CLEAN))
    assert status(row) == dict.fromkeys(CHECKS, "ok")
    assert row.verdict == "no sign found"
    assert exit_code([row]) == 0


@pytest.mark.parametrize(
    ("check", "planted"),
    [
        ("EOT", {EOT5: 40.0, EOT10: 40.0}),
        ("EOT converged", {EOT10: 75.0}),
        ("weaker attackers", {BLACK: 75.0}),
        ("more steps", {LONG: 75.0}),
        ("more restarts", {AGAIN: 75.0}),
        ("large budget", {LOUD: 61.0}),
        ("noise of the same size", {NOISE: 61.0}),
        ("smaller budgets", {WEAK: 75.0}),
    ],
)
def test_each_planted_sign_is_found(check: str, planted: dict[str, float]) -> None:
    results = run("rs", CLEAN | planted)
    if check == "large budget":
        loud = result("rs", LOUD, 61.0, snr_db=5.0)
        results = [loud if r.cell.attack == LOUD else r for r in results]
    row = only(results)
    assert status(row)[check] == "sign"
    assert row.verdict == "suspect"
    assert exit_code([row]) == 3
    others = {name for name, found in status(row).items() if found == "sign"} - {check}
    assert not others
    if check != "large budget":
        (finding,) = [f for f in row.findings if f.check == check]
        difference = finding.figures[0].difference
        assert difference is not None
        assert difference.low <= difference.points <= difference.high


@pytest.mark.parametrize(
    ("check", "dropped"),
    [
        ("adaptive attack", [a for a in CLEAN if a.startswith("pgd")]),
        ("EOT", [EOT5, EOT10]),
        ("EOT converged", [EOT10, EOT5]),
        ("weaker attackers", [BLACK]),
        ("more steps", [LONG]),
        ("more restarts", [AGAIN]),
        ("large budget", [LOUD]),
        ("noise of the same size", [NOISE]),
        ("smaller budgets", [WEAK, LOUD]),
        ("fresh draws", [NONE]),
    ],
)
def test_what_was_not_measured_is_a_finding(check: str, dropped: list[str]) -> None:
    row = only(run("rs", {a: wer for a, wer in CLEAN.items() if a not in dropped}))
    assert status(row)[check] == "missing"
    assert row.verdict == "incomplete"
    assert exit_code([row]) == 4


def test_few_utterances_leave_it_open_and_say_how_many_it_takes() -> None:
    def noisy(attack: str, edits: list[int]) -> Result:
        made = result("stft", attack, 50.0, n=len(edits))
        for row, e in zip(made.rows.values(), edits, strict=True):
            row["counts"]["adversarial"]["words"] = [e, 10]
        return made

    row = only([noisy(ONE, [5, 5, 6, 2]), noisy(LONG, [9, 3, 5, 4])])
    (finding,) = [f for f in row.findings if f.check == "more steps"]
    assert finding.status == "open"
    assert finding.figures[0].needed is not None
    assert finding.figures[0].needed > 4
    assert row.verdict == "incomplete"


def test_an_attack_in_other_chunks_is_the_same_attack() -> None:
    """Compared with itself it would show that more draws bring nothing more."""
    made = run("rs", {**CLEAN, f"{EOT10},chunk=5": 61.0, EOT5: 40.0})
    assert status(only(made))["EOT converged"] == "sign"
    alone = status(only(run("rs", {ONE: 60.0, f"{ONE},chunk=1": 60.0, "pgd:ratio=100": 60.0})))
    assert (alone["EOT converged"], alone["smaller budgets"]) == ("missing", "missing")


def test_a_deterministic_defense_needs_no_draws() -> None:
    wers = {a: wer for a, wer in CLEAN.items() if "eot" not in a}
    row = only(run("stft", wers))
    found = status(row)
    assert (found["EOT"], found["EOT converged"], found["fresh draws"]) == ("n/a",) * 3
    assert row.verdict == "no sign found"


def test_a_gradient_that_is_not_the_defenses_own() -> None:
    results = run("stft-flood", CLEAN)
    results += run("stft-flood:gradient=resampled", {ONE: 40.0})
    exact, resampled = audit(results)
    assert status(exact)["exact gradient"] == "ok"
    (finding,) = [f for f in resampled.findings if f.check == "exact gradient"]
    assert finding.status == "sign"
    (figure,) = finding.figures
    assert figure.difference is not None
    assert figure.difference.low > 10
    assert resampled.verdict == "suspect"


def test_another_gradient_that_breaks_more_than_the_exact_one_hides_nothing() -> None:
    results = run("stft-flood", {NONE: 5.0, ONE: 40.0})
    results += run("stft-flood:gradient=bpda", {NONE: 5.0, ONE: 80.0})
    exact, other = audit(results)
    assert status(exact)["weaker attackers"] == "sign"
    assert status(other)["exact gradient"] == "ok"
    results += run("stft-flood:gradient=bpda", {LOUD: 100.0})  # its exact sibling is not measured
    assert status(audit(results)[1])["exact gradient"] == "open"
    few = run("stft-flood", {ONE: 40.0}, n=10) + run("stft-flood:gradient=bpda", {ONE: 80.0}, n=10)
    assert status(audit(few)[1])["exact gradient"] == "open"


def test_a_vocoder_that_cuts_its_gradient_is_not_exact() -> None:
    exact, cut = "resynth:vocoder=griffin-lim", "resynth:vocoder=griffin-lim:through=2"
    first, second = audit(run(exact, {NONE: 5.0, ONE: 20.0}) + run(cut, {NONE: 5.0, ONE: 90.0}))
    assert status(first)["weaker attackers"] == "sign"
    assert status(second)["exact gradient"] == "ok"
    (alone,) = audit(run(cut, {NONE: 5.0, ONE: 90.0}))
    assert status(alone)["exact gradient"] == "sign"


def test_where_no_gradient_flows_bpda_is_the_one_to_give() -> None:
    exact, other = audit(run("codec", CLEAN) + run("codec:gradient=bpda", {NONE: 5.0, ONE: 80.0}))
    assert status(exact)["exact gradient"] == "sign"
    assert status(other)["exact gradient"] == "ok"


def test_bpda_that_breaks_more_is_a_sign_in_the_exact_row() -> None:
    results = run("stft-flood", CLEAN) + run("stft-flood:gradient=bpda", {ONE: 80.0})
    exact, _ = audit(results)
    assert status(exact)["weaker attackers"] == "sign"


def test_attacks_that_change_nothing_are_a_sign() -> None:
    results = run("stft", {NONE: 5.0, NOISE: 5.0}) + [
        result("stft", attack, 5.0, snr_db=None) for attack in (ONE, "pgd:db=5")
    ]
    found = {f.check: f for f in only(results).findings}
    assert found["adaptive attack"].status == "sign"
    assert "the gradient is zero" in found["adaptive attack"].text
    assert found["large budget"].status == "sign"
    assert found["large budget"].text.startswith("pgd:db=5 ")


def test_a_loud_attack_on_speech_without_words_is_no_sign() -> None:
    loud = result("stft", "pgd:db=5", 5.0, snr_db=5.0)
    for row in loud.rows.values():
        row["counts"]["adversarial"]["words"] = [0, 0]
    results = [result("stft", ONE, 6.0), loud]
    assert large([(setting(r.cell.attack), r) for r in results]).status == "missing"


def test_a_run_without_a_defended_row_is_not_passed() -> None:
    assert exit_code(audit(run("none", CLEAN))) == 4


def test_two_passes_of_the_same_texts_show_no_fresh_draws() -> None:
    results = run("rs", CLEAN)
    assert status(only(results))["fresh draws"] == "ok"
    for row in results[0].rows.values():
        row["adversarial"] = row["benign"]
    assert status(only(results))["fresh draws"] == "open"


def test_a_few_utterances_settle_nothing() -> None:
    few = [
        result("rs", attack, wer, n=2)
        for attack, wer in {NONE: 5.0, NOISE: 8.0, ONE: 90.0, LONG: 90.0}.items()
    ]
    found = status(only(few))
    assert found["more steps"] == found["noise of the same size"] == "open"


def test_noise_that_does_more_by_chance_is_no_sign() -> None:
    attacked, noisy = (result("rs", attack, 50.0, n=24) for attack in (ONE, NOISE))
    rng = np.random.default_rng(0)
    for made in (noisy, attacked):
        for row in made.rows.values():
            row["counts"]["adversarial"]["words"][0] = int(rng.integers(0, 11))
    found = only([result("rs", NONE, 5.0, n=24), attacked, noisy])
    assert (attacked.error_rate or 0) < (noisy.error_rate or 0)
    assert status(found)["noise of the same size"] == "open"


def test_an_unfinished_attack_is_no_evidence() -> None:
    short = result("rs", ONE, 60.0, n=8)
    row = only([result("rs", NONE, 5.0), short])
    (finding,) = [f for f in row.findings if f.check == "adaptive attack"]
    assert finding.status == "open"
    assert "8 of 100" in finding.text


def test_undefended_rows_and_targeted_attacks_are_left_out() -> None:
    targeted = result("rs", "pgd:db=20,target=STOP", 100.0)
    for row in targeted.rows.values():
        row["target"] = "STOP"
    row = only([*run("none", CLEAN), targeted])
    assert status(row)["adaptive attack"] == "missing"


def test_a_part_that_is_unknown_here_is_no_crash() -> None:
    results = run("future:x=1", {NONE: 5.0, "later:db=20": 60.0})
    row = only(results)
    assert status(row)["adaptive attack"] == "missing"  # what is unknown vouches for nothing
    assert row.verdict == "incomplete"


def test_rows_of_older_runs_lack_fields() -> None:
    results = run("rs", CLEAN)
    for made in results:
        for row in made.rows.values():
            for name in ("snr_db", "linf", "l2", "steps", "seconds"):
                del row[name]
    assert status(only(results))["more steps"] == "ok"


@pytest.mark.parametrize("other", ["bpda", "resampled"])
@pytest.mark.parametrize("turned", [False, True])
def test_of_a_chain_only_the_link_without_a_gradient_may_have_another(
    other: str, turned: bool
) -> None:
    """BPDA of one link says nothing of the other's gradient, nor does an attack that has none."""

    def chain(blind: str, seeing: str) -> str:
        links = (seeing, blind) if turned else (blind, seeing)
        return f"chain:{links[0]},then={links[1]}"

    def found(*rows: list[Result]) -> dict[str, str]:
        audited = audit([result for row in rows for result in row])
        return {row.defense: status(row)["exact gradient"] for row in audited}

    best = chain("codec:gradient=bpda", "stft-flood")
    weak = chain("codec:gradient=bpda", f"stft-flood:gradient={other}")
    none = chain("codec", "stft-flood")
    assert found(run(best, {ONE: 60.0})) == {best: "ok"}
    assert found(run(weak, {ONE: 20.0})) == {weak: "sign"}
    assert found(run(weak, {ONE: 20.0}), run(none, {ONE: 5.0})) == {weak: "sign", none: "sign"}
    assert found(run(weak, {ONE: 20.0}), run(best, {ONE: 60.0})) == {weak: "sign", best: "ok"}
    assert found(run(weak, {ONE: 60.0}), run(best, {ONE: 60.0})) == {weak: "ok", best: "ok"}
    (row,) = audit(run(weak, {ONE: 20.0}))
    assert (best, ONE) in row.wanted


@pytest.mark.parametrize(
    "spec",
    [
        "mulaw:gradient=bpda",
        "chain:mulaw:gradient=bpda,then=stft-flood",
        "voted:(chain:mulaw:gradient=bpda,then=stft-flood)",
    ],
)
def test_what_rounds_the_samples_is_attacked_by_lattice_too(spec: str) -> None:
    """Small steps are rounded away, so BPDA alone flatters a defense that rounds."""

    def found(*results: Result) -> str:
        return status(only(list(results)))["exact gradient"]

    strong = "apgd:db=20,steps=500,keep=errors,against=truth,eot=4,chunk=2"
    row = only(run(spec, {ONE: 60.0, strong: 70.0}))
    assert status(row)["exact gradient"] == "missing"
    wanted = [attack for _, attack in row.wanted if attack.startswith("lattice")]
    assert wanted == [str(ATTACKS.parse(strong.replace("apgd", "lattice")))]
    best = [result(spec, ONE, 60.0), result(spec, strong, 70.0)]
    assert found(*best, result(spec, wanted[0], 80.0)) == "ok"
    assert found(*best, result(spec, wanted[0], 80.0, n=1)) == "missing"
    assert found(*best, result(spec, wanted[0].replace("db=20", "db=60"), 20.0)) == "missing"
    assert status(only(run("codec:gradient=bpda", {ONE: 60.0})))["exact gradient"] == "ok"


def test_an_attack_around_another_is_nothing_to_change() -> None:
    around = "evading:detector=(disagreement:(wgn:snr=20)),attack=(pgd:db=20)"
    row = only(run("rs", {ONE: 60.0, around: 90.0}))
    assert all(not attack.startswith("evading") for _, attack in row.wanted)


def test_specs_taken_apart() -> None:
    assert setting("pgd:norm=linf,eps=0.01").budget != setting("pgd:norm=l2,eps=0.01").budget
    assert setting("pgd:ratio=100").budget == setting("pgd:db=20").budget
    assert siblings("mdnf:level=0.1,gradient=bpda") == ("bpda", "mdnf:level=0.1")
    assert siblings("stft-flood:gradient=resampled") == ("resampled", "stft-flood")
    assert siblings("stft-flood:gradient=bpda,level=0.2") == ("bpda", "stft-flood:level=0.2")
    assert siblings("rs") == ("exact", "rs")
    assert siblings("mdnf:vocoder=(griffin-lim:through=2,iterations=8),level=0.1") == (
        "through=2",
        "mdnf:vocoder=griffin-lim:iterations=8,level=0.1",
    )
    assert siblings("resynth:vocoder=griffin-lim:through=2") == (
        "through=2",
        "resynth:vocoder=griffin-lim",
    )
    both = "mdnf:vocoder=griffin-lim:through=2,gradient=bpda"
    assert siblings(both) == ("bpda", "mdnf:vocoder=griffin-lim")
    assert siblings("resynth:vocoder=trained:a.b") == ("exact", "resynth:vocoder=trained:a.b")


def test_verdicts_are_json() -> None:
    row: dict[str, Any] = json.loads(json.dumps(only(run("rs", CLEAN)).as_dict()))
    assert row["verdict"] == "no sign found"
    assert [f["check"] for f in row["findings"]] == list(CHECKS)


def test_rows_of_other_models_corpora_and_seeds_are_apart() -> None:
    first = result("rs", ONE, 60.0)
    second = replace(first, cell=replace(first.cell, seed=1))
    third = replace(first, cell=replace(first.cell, model="ds2-an4-mg"))
    assert [len(s.own) for s in systems([first, second, third])] == [1, 1, 1]


@pytest.mark.parametrize("check", ["more steps", "EOT converged"])
def test_what_fewer_steps_or_draws_have_broken_deceives_nobody(check: str) -> None:
    more = {"more steps": f"{LOUD},steps=500", "EOT converged": f"{LOUD},eot=10"}[check]
    less = {"more steps": LOUD, "EOT converged": f"{LOUD},eot=5"}[check]
    ladder = {less: 100.0, more: 150.0}

    def found(wers: dict[str, float], n: int = 100) -> tuple[str, str]:
        (row,) = audit([result("rs", attack, wer, n) for attack, wer in wers.items()])
        return next((f.status, f.text) for f in row.findings if f.check == check)

    assert found(ladder)[0] == "ok"
    assert found(ladder)[1].startswith(f"already broken by less: {less} leaves WER 100")
    assert found({ONE: 30.0} | ladder)[0] == "missing", "the row stands at another budget"
    assert found({less: 79.5, more: 150.0})[0] == "sign", "its interval reaches below"
    assert found(ladder, n=9)[0] != "ok"


def test_somebodys_own_recognizer_may_hide_a_defense() -> None:
    mine = [replace(r, cell=replace(r.cell, model="python:own:load")) for r in run("none", CLEAN)]
    (row,) = audit(mine, bare=True)
    assert status(row)["exact gradient"] == "missing"
    assert status(row)["EOT"] != "n/a"


def test_a_recognizer_without_a_defense_is_examined_where_asked() -> None:
    results = run("none", {NONE: 4.0, ONE: 60.0, LONG: 75.0})
    assert audit(results) == []
    (row,) = audit(results, bare=True)
    assert row.defense == "none"
    assert status(row)["more steps"] == "sign"
    assert status(row)["EOT"] == status(row)["fresh draws"] == "n/a"


@pytest.mark.parametrize(
    ("check", "planted"),
    [
        ("weaker attackers", {BLACK: 75.0}),
        ("large budget", {}),
        ("noise of the same size", {NOISE: 61.0}),
    ],
)
def test_a_cell_that_was_begun_hides_no_sign(check: str, planted: dict[str, float]) -> None:
    results = [
        result("rs", LOUD, 61.0, snr_db=5.0) if r.cell.attack == LOUD else r
        for r in run("rs", CLEAN | planted)
    ]
    begun = result("rs", "pgd:db=20,steps=9", 100.0, n=1)
    row = only([*results, begun])
    assert status(row)[check] == "sign"
    assert row.verdict == "suspect"
    assert status(row)["adaptive attack"] == "open"  # it is to be finished


@pytest.mark.parametrize(
    "endless",
    [
        "pgd:db=20,steps=50,target=endless",
        "transfer:model=ds2-an4,attack=(pgd:db=20,target=endless)",
    ],
)
def test_a_text_without_end_hides_no_sign(endless: str) -> None:
    results = run("rs", CLEAN | {BLACK: 75.0})
    row = only([*results, result("rs", endless, 300.0)])
    assert row.findings == only(results).findings
    assert status(row)["weaker attackers"] == "sign"

"""Whoever measures what is said to be missing misses nothing."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import torch

from melmoat.analysis.audit import audit
from melmoat.analysis.missing import changed, command
from melmoat.attacks import ATTACKS
from melmoat.attacks.budgets import SNR
from melmoat.attacks.universal import Pattern, save
from tests.attacks.test_family import PATTERN
from tests.bench.hand_made import result, run
from tests.bench.writing import write_run
from tests.cli.test_analysis import run as cli


@pytest.mark.parametrize(
    "tried",
    [
        [],
        ["none"],
        ["noise:db=25"],
        ["pgd:db=25,steps=40"],
        ["pgd:norm=linf,eps=0.01,steps=40,eot=5"],
        ["pgd:norm=l2,eps=1.5,steps=40", "kenansville"],
        ["pgd:norm=snr,ratio=100,steps=40"],
        ["cw:eps=0.01,steps=40"],
        ["apgd:db=20,steps=40"],
        ["transfer:model=ds2-an4,attack=(pgd:norm=l2,eps=1.5)"],
        ["transfer:model=ds2-an4,attack=(pgd:norm=linf,db=25)"],
        [f"universal:{PATTERN}"],
    ],
)
def test_measuring_what_is_missing_leaves_nothing_missing(tried: list[str]) -> None:
    measured = {**dict.fromkeys(tried, 60.0), "kenansville:db=3": 8.0}
    for _ in range(3):
        (row,) = audit(run("rs", measured))
        measured |= {attack: _rate(attack) for defense, attack in row.wanted if defense == "rs"}
    (row,) = audit(run("rs", measured))
    lacking = [f for f in row.findings if f.status == "missing"]
    assert not lacking, measured
    assert not [pair for pair in row.wanted if pair[0] == "rs"]


def _rate(attack: str) -> float:
    """WER that it causes; the loudest breaks everything."""
    return 100.0 if ATTACKS.build(attack).budget == SNR(10.0) else 60.0


def test_what_is_missing_is_derived_from_the_strongest_attack() -> None:
    strongest = "pgd:norm=l2,eps=1.5,steps=40,momentum=1"
    (row,) = audit(run("rs", {"pgd:norm=l2,eps=1.5,steps=40": 50.0, strongest: 60.0}))
    attacks = [attack for _, attack in row.wanted]
    assert changed(strongest, {"steps": 80}) in attacks
    assert changed(strongest, {"eot": 5}) in attacks
    assert changed(strongest, {"restarts": 2}) in attacks
    assert changed(strongest, {"eps": 0.75}) in attacks
    assert "noise:norm=l2,eps=1.5" in attacks
    assert {"transfer", "nes"} <= {attack.partition(":")[0] for attack in attacks}
    for attack in attacks:
        ATTACKS.build(attack)


def test_where_no_gradient_flows_bpda_is_wanted() -> None:
    (row,) = audit(run("quantize", {"pgd:db=20": 5.0}))
    assert ("quantize:gradient=bpda", "pgd:db=20") in row.wanted


@pytest.mark.parametrize("spec", ["chain:mulaw,then=wgn", "voted:(chain:mulaw,then=wgn)"])
def test_where_a_link_has_no_gradient_its_bpda_is_wanted(spec: str) -> None:
    (row,) = audit(run(spec, {"pgd:db=20": 5.0}))
    assert (spec.replace("mulaw", "mulaw:gradient=bpda"), "pgd:db=20") in row.wanted


def test_the_command_is_one_that_a_shell_takes() -> None:
    asked = {"limit": 8, "choose": "spread"}
    attack = "transfer:model=ds2-an4,attack=(pgd:db=20,eot=5)"
    pairs = [("rs:snr=15", "none"), ("rs:snr=15", attack)]
    (line,) = command("my run", ("ds2-an4", "demo", 3), pairs, asked)
    words = shlex.split(line.replace("\\\n", ""))
    assert words[:4] == ["melmoat", "bench", "--out", "my run"]
    assert words[-1] == attack
    assert words[10:16] == ["--seed", "3", "--limit", "8", "--choose", "spread"]
    (line,) = command("run", ("ds2-an4", "demo", 0), pairs[:1], {"limit": 8})
    assert "--limit 8 --choose spread" in line, "as earlier versions chose"
    (line,) = command("run", ("ds2-an4", "demo", 0), pairs[:1], {**asked, "choose": "shuffled"})
    assert "--choose" not in line
    assert not command("run", ("object:M,code=1", "demo", 0), pairs, {})


def test_the_audit_prints_it_ready_to_paste(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [result("rs", "pgd:db=20", 60.0)])
    text = cli("audit", tmp_path / "run", code=4)
    assert f"melmoat bench --out {tmp_path / 'run'} --model" in text
    assert "--attack pgd:db=20,eot=5" in text
    assert "--attack none" in text


def test_a_budget_that_stands_in_a_file_or_in_an_attack_inside_is_kept(tmp_path: Path) -> None:
    save(tmp_path / "u", Pattern(torch.ones(3)), {"norm": "linf", "db": 25.0}, {})
    inside = "transfer:model=ds2-an4,attack=(pgd:norm=l2,eps=1.5)"
    for tried, noise in (
        (f"universal:{tmp_path / 'u'}", "noise:norm=linf,db=25"),
        (inside, "noise:norm=l2,eps=1.5"),
    ):
        (row,) = audit(run("rs", {tried: 50.0}))
        attacks = [attack for _, attack in row.wanted]
        assert noise in attacks
        for attack in attacks:
            assert attack == "none" or ATTACKS.build(attack).budget is not None

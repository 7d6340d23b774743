"""Each fault of a part is found, by the line that is about it; parts without a fault pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import melmoat
from melmoat.checking import check, check_at_first, kind_of_spec
from melmoat.cli import app
from melmoat.errors import MelmoatError

OWN = "python:tests.checking.own"


def wrong(part: object, **options: object) -> dict[str, str]:
    found = check(part, model=f"{OWN}:Letters", **options)  # type: ignore[arg-type]
    return {line.check: line.text for line in found if line.status == "wrong"}


@pytest.mark.parametrize(
    "spec",
    [
        "ds2-an4",
        f"{OWN}:Letters",
        "wgn:snr=15",
        "rs:snr=15,votes=2",
        "median",
        f"{OWN}:Wave",
        f"{OWN}:Push",
        "noise:norm=snr,db=20",
        "kenansville:db=20",
        "pgd:norm=linf,eps=0.01,steps=2",
        "nes:norm=snr,db=20,queries=8,population=4",
    ],
)
def test_what_is_right_passes(spec: str) -> None:
    assert not wrong(spec)


@pytest.mark.parametrize(
    ("fault", "line", "words"),
    [
        ("pair", "shapes", "two tensors"),
        ("logits", "shapes", "log_softmax"),
        ("scalar", "shapes", "expected a tensor of shape \\[2\\]"),
        ("twice", "its loss", "that of its log probabilities"),
        ("leak", "padding", "padding leaks"),
        ("detached", "gradient", "no gradient reaches|the waveform none"),
        ("flat", "gradient", "zero everywhere"),
        ("root", "silence", "NaN or Inf"),
        ("trainable", "frozen weights", "requires_grad_"),
        ("training", "frozen weights", "eval"),
        ("global", "same draws", "global generator"),
    ],
)
def test_faults_of_recognizers(fault: str, line: str, words: str) -> None:
    found = wrong(f"{OWN}:Letters,fault={fault}")
    assert line in found, found
    assert re.search(words, found[line])


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        ("shorter", "lengths and rate"),
        ("tail", "lengths and rate"),
        ("loudest", "padding"),
        ("global", "same draws"),
        ("says stochastic", "other draws"),
        ("stochastic", "other draws"),
        ("step", "gradient"),
        ("detached", "gradient"),
        ("silence", "silence"),
        ("in place", "lengths and rate"),
    ],
)
def test_faults_of_defenses(fault: str, line: str) -> None:
    assert line in wrong(f"{OWN}:Wave,fault=({fault})")


def test_a_defense_that_says_that_it_has_no_gradient_is_noted() -> None:
    alone, chained = (
        next(line for line in check(spec) if line.check == "gradient")
        for spec in (f"{OWN}:Wave,fault=honest step", "chain:quantize,then=wgn")
    )
    assert (alone.status, chained.status) == ("note", "note")
    assert "attack it by gradient=bpda, or" in alone.text
    assert "gradient=bpda of the link that has none" in chained.text  # a chain has no gradient=
    voted = check("voted:(chain:quantize,then=wgn),votes=2")
    assert {line.status for line in voted} == {"ok", "note"}


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("Push,fault=over", "budget"),
        ("Push,fault=in place", "budget"),
        ("Push,fault=blind", "access"),
        ("Sly", "access"),
        ("Push,fault=batch", "batch"),
        ("Push,fault=global", "same draws"),
        ("Push,fault=silence", "silence"),
    ],
)
def test_faults_of_attacks(part: str, line: str) -> None:
    assert line in wrong(f"{OWN}:{part}")


def test_an_attack_whose_loss_rises_is_noted() -> None:
    found = check(f"{OWN}:Push,fault=wrong sign", model=f"{OWN}:Letters")
    assert {line.status for line in found if line.check == "effect"} == {"note"}


def test_the_kind_of_a_part_is_found_out() -> None:
    parts = ["ds2-an4", "rs", "pgd:norm=snr,db=3", f"{OWN}:Letters", f"{OWN}:Wave", f"{OWN}:Push"]
    assert [kind_of_spec(part) for part in parts] == ["model", "defense", "attack"] * 2
    for part, words in {
        "none": "--kind",
        "nobody": "no recognizer",
        f"{OWN}:Two": "--kind",
    }.items():
        with pytest.raises(MelmoatError, match=words):
            kind_of_spec(part)


def test_the_command_says_it_line_by_line() -> None:
    well = CliRunner().invoke(app, ["check", f"{OWN}:Wave"])
    assert well.exit_code == 0
    assert "ok     padding: an utterance comes out the same" in well.output
    bad = CliRunner().invoke(app, ["check", f"{OWN}:Wave,fault=loudest"])
    assert bad.exit_code == 1
    assert "wrong  padding: " in bad.output


def test_a_bench_begins_with_the_cheap_part(tmp_path: Path) -> None:
    for model, defense, words in (
        (f"{OWN}:Letters,fault=logits", "none", "log_softmax"),
        (f"{OWN}:Letters", f"{OWN}:Wave,fault=shorter", "changed an utterance's length"),
    ):
        with pytest.raises(MelmoatError, match=words):
            melmoat.evaluate(model, defense, data="demo", limit=1, out=tmp_path / "run")
    assert not (tmp_path / "run" / "cells").exists()
    check_at_first([("ds2-an4", "none"), (f"{OWN}:Letters", f"{OWN}:Wave")])

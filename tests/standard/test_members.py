"""What ``standard-1`` means, word for word."""

from dataclasses import replace

import pytest

from melmoat.attacks import ATTACKS
from melmoat.standard.levels import Level
from melmoat.standard.members import FULL, QUICK, VERSION, Effort, Ensemble, Member
from melmoat.standard.subject import Subject, subject

L2 = Level("l2", 20.0)
SUBJECT = Subject("ds2-an4", "resynth", "demo", variants={"bpda": "resynth:gradient=bpda"}, texts=9)
USUAL = "pgd:schedule=linear,against=truth,db=20,eot=4,keep=errors"
LONG = f"{USUAL},random_start=true,loss=margin"
SPECS = {
    "clean": "none",
    "noise": "noise:db=20",
    "apgd": "apgd:against=truth,db=20,keep=errors",
    "pgd, 4 draws": USUAL,
    "margin": f"{USUAL},loss=margin",
    "bpda": USUAL,
    "transfer": "transfer:model=ds2-an4,attack=(apgd:db=20,against=truth)",
    **{
        f"target {name or 'silence'}": f"pgd:schedule=linear,target={name},db=20,steps=50,"
        "eot=4,stop=true,confirm=3,keep=errors"
        for name in ("", "shorter", "matched", "matched-2", "matched-3")
    },
    "long pgd, 100 steps": LONG,
    "long pgd, 200 steps": f"{LONG},steps=200",
    "long pgd, 400 steps x 2": f"{LONG},steps=400,restarts=2",
    "long pgd, 800 steps x 2": f"{LONG},steps=800,restarts=2",
    "blocks": "blocks:against=truth,db=20,queries=500,eot=4",
    **dict.fromkeys(
        ("silence around, no attack", "quieter, no attack", "faster, no attack"), "none"
    ),
    **dict.fromkeys(("silence around", "quieter", "faster"), USUAL),
}


def members(one: Subject, effort: Effort, level: Level, stochastic: bool) -> list[Member]:
    e, eot = Ensemble(one, effort, stochastic), 4 if stochastic else 1
    rounds = [e.long(level, eot, n, walk) for walk in e.walks for n in range(len(effort.rounds))]
    stages = [
        [e.clean()],
        e.noise(level),
        e.descent(level),
        e.sequence(level, eot),
        e.lattice(level, eot),
        *[e.margin(level, eot, walk) for walk in e.walks],
        e.box(level),
        e.other_gradients(level, eot),
        *[e.targeted(level, eot, walk) for walk in e.walks],
        *rounds,
        e.blocks(level, eot),
        *[e.around(level, eot, walk) for walk in e.walks],
    ]
    return [member for stage in stages for member in stage]


def test_the_members_are_frozen() -> None:
    found = {m.name: m for m in members(SUBJECT, FULL, L2, True)}
    assert VERSION == "standard-1"
    assert {name: m.cell.attack for name, m in found.items()} == {
        name: ATTACKS.declared(spec) for name, spec in SPECS.items()
    }
    assert found["bpda"].cell.defense == "resynth:gradient=bpda"
    changed = {
        "silence around": "padded:demo,before=0.5,after=2",
        "quieter": "altered:demo,gain=-12",
        "faster": "altered:demo,speed=1.05",
    }
    around = {name: m.cell.data for name, m in found.items() if m.role == "around"}
    assert around == changed | {f"{name}, no attack": data for name, data in changed.items()}
    assert {name for name, m in found.items() if m.everyone} == {"clean", "target matched"}
    assert [level.name for level in FULL.levels] == [
        "l2 40 dB", "linf 30 dB", "l2 30 dB", "l2 20 dB"]  # fmt: skip
    assert [level.name for level in FULL.levels if FULL.is_deep(level)] == ["l2 30 dB", "l2 20 dB"]
    assert [level.name for level in FULL.quiet] == ["l2 50 dB", "l2 60 dB"]
    assert not any(map(FULL.is_deep, FULL.quiet))
    assert all(map(QUICK.is_deep, QUICK.levels))
    assert Ensemble(SUBJECT, FULL, True).draws == (1, 2, 4, 8, 16, 20)
    assert Ensemble(SUBJECT, FULL, False).draws == (1,)


@pytest.mark.parametrize(
    ("defense", "effort", "draws"),
    [("rs:votes=5", FULL, (1, 2, 4)), ("rs:votes=5", QUICK, (1,)), ("rs:votes=32", FULL, (1,)),
     ("voted:wgn,votes=3", FULL, (1, 2, 4, 6)), ("rs:votes=1", QUICK, (1, 2, 4))],
)  # fmt: skip
def test_votes_are_passes_of_a_step(defense: str, effort: Effort, draws: tuple[int, ...]) -> None:
    assert Ensemble(subject("ds2-an4", defense, "demo"), effort, True).draws == draws


@pytest.mark.parametrize("effort", [FULL, QUICK])
@pytest.mark.parametrize("kind", ["ctc", "tokens", "text"])
def test_a_member_has_its_own_cell_and_fits_the_recognizer(effort: Effort, kind: str) -> None:
    one = Subject("whisper:tiny.en", "rs", "an4:x/y", kind=kind, texts=9)  # type: ignore[arg-type]
    for level in effort.levels:
        found = members(one, effort, level, True)
        assert len({m.cell for m in found}) == len({m.name for m in found}) == len(found)
        assert ("margin" in {m.name for m in found}) == (kind != "text")
        assert any(m.role == "around" for m in found) == (level.norm == "l2")


def test_where_transcripts_cost_a_target_takes_all_its_steps() -> None:
    for spec, free in (("ds2-an4", True), ("ds2-an4:beam=2", False)):
        one = subject(spec, "rs", "demo")
        assert one.free is free
        targets = Ensemble(one, FULL, True).targeted(L2, 1, "pgd")
        assert {("stop=true" in m.cell.attack) for m in targets} == {free}
        assert {("confirm=3" in m.cell.attack) for m in targets} == {free}


def test_a_defense_without_a_gradient_is_attacked_by_bpda() -> None:
    one = subject("ds2-an4", "quantize", "demo")
    assert one.differentiable is False
    found = {m.name: m for m in members(one, QUICK, L2, False)}
    assert found["apgd"].cell.defense == "quantize:gradient=bpda"
    assert found["blocks"].cell.defense == "quantize"
    assert "bpda" not in found


@pytest.mark.parametrize("spec", ["quantize", "chain:mulaw,then=wgn", "mulaw:bits=8"])
def test_where_samples_are_rounded_members_also_choose_levels(spec: str) -> None:
    one = subject("ds2-an4", spec, "demo")
    assert one.rounds
    found = {m.name: m for m in members(one, FULL, L2, False)}
    walks = {name: m.cell.attack.partition(":")[0] for name, m in found.items()}
    added = {name for name, walk in walks.items() if walk == "lattice"}
    plain = {m.name for m in members(replace(one, rounds=False), FULL, L2, False)}
    assert set(found) - plain == added
    twins = {name.replace(", lattice", "").replace("lattice", "apgd") for name in added}
    own = ("apgd", "margin", "target", "long apgd", "silence", "quieter", "faster")
    assert twins == {n for n in plain if n.startswith(own) and "no attack" not in n}
    assert all(found[name].cell.defense == one.attacked for name in added)


def test_what_rounds_and_then_draws_is_attacked_in_both_ways() -> None:
    one = subject("ds2-an4", "chain:mulaw,then=wgn", "demo")
    found = members(one, FULL, L2, True)
    assert len({m.cell for m in found}) == len({m.name for m in found}) == len(found)
    walks = {m.name: m.cell.attack.partition(":")[0] for m in found}
    assert walks["margin"] == walks["silence around"] == "pgd"
    assert walks["margin, lattice"] == walks["silence around, lattice"] == "lattice"
    assert [name for name, walk in walks.items() if walk == "apgd"] == ["apgd"]


@pytest.mark.parametrize(("norm", "stochastic", "there"), [
    ("linf", False, True), ("linf", True, False), ("l2", False, False)])  # fmt: skip
def test_in_the_box_pgd_walks_beside_autopgd(norm: str, stochastic: bool, there: bool) -> None:
    level = Level(norm, 30.0)  # type: ignore[arg-type]
    found = {m.name: m for m in members(SUBJECT, FULL, level, stochastic)}
    assert ("pgd" in found) == there
    if there:
        spec = "pgd:norm=linf,db=30,schedule=linear,against=truth,keep=errors"
        assert found["pgd"].cell.attack == ATTACKS.declared(spec)
        assert found["pgd"].role == "gradient"
        assert found["pgd"].cell.defense == found["apgd"].cell.defense


@pytest.mark.parametrize("spec", ["rs", "codec", "chain:wgn,then=mulaw", "voted:mdnf"])
def test_elsewhere_no_member_chooses_levels(spec: str) -> None:
    assert not subject("ds2-an4", spec, "demo").rounds


def test_what_a_system_declares() -> None:
    one = subject("ds2-an4", "mdnf:vocoder=griffin-lim", "demo")
    assert (one.kind, one.stochastic, one.differentiable) == ("ctc", True, True)
    assert set(one.variants) == {"bpda", "resampled", "through"}
    assert one.variants["through"] == "mdnf:vocoder=griffin-lim:through=2"
    assert subject("ds2-an4", "rs", "demo").stochastic is True
    assert subject("ds2-an4", "none", "demo").variants == {}

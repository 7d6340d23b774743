"""Invariants of every attack."""

import os
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor

from melmoat import attacks, defenses
from melmoat.attacks import Targeted, Untargeted
from melmoat.attacks.base import Goal
from melmoat.attacks.budgets import to_pcm16
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models import DeepSpeech2
from melmoat.models.base import Recognizer
from melmoat.text import TextError
from tests.attacks.toys import Frames

PATTERN = os.path.relpath(Path(__file__).with_name("universal.safetensors"))  # random, for tests
SEEDS = (5, 6, 7)
TEXTS = ["GO ON", "ENTER SIX", "A"]
SPECS = [
    "none",
    "noise:norm=snr,db=20",
    "noise:norm=linf,eps=0.01",
    "pgd:norm=linf,eps=0.01,steps=4",
    "pgd:norm=l2,eps=0.5,steps=4,random_start=true",
    "pgd:norm=snr,db=20,steps=4",
    "pgd:norm=snr,ratio=100,steps=2,step=0.5,restarts=2",
    "pgd:norm=l2,eps=0.5,steps=1,step=1",
    "pgd:norm=snr,db=20,steps=3,eot=2",
    "pgd:norm=snr,db=20,steps=4,momentum=0.9,schedule=cosine,best=true,eot=2,chunk=1",
    "apgd:norm=snr,db=20,steps=6",
    "kenansville:db=20",
    "apgd:norm=linf,eps=0.01,steps=6,stop=true,restarts=2,random_start=true,eot=2,chunk=1",
    "pgd:norm=linf,eps=0.01,steps=6,stop=true,restarts=2",
    "cw:eps=0.01,steps=6,lr=2e-3",
    "cw:eps=0.01,steps=6,lr=2e-3,confirm=2",
    "cw2018:eps=0.03,steps=6,lr=5e-3,c=10,eot=2,chunk=1",
    "cw2018:eps=0.03,steps=6,lr=5e-3,c=10,loss=margin",
    "imperceptible:eps=0.03,steps=4,lr=5e-3,hiding=3,hiding_lr=1e-3",
    "nes:norm=snr,db=20,queries=9,population=4,chunk=3",
    "nes:norm=snr,db=20,queries=8,population=2,eot=2,stop=true",
    "genetic:norm=linf,eps=0.01,queries=8,population=4,elite=2,mutation=0.1",
    "blocks:norm=snr,db=20,queries=6",
    "blocks:norm=linf,eps=0.01,queries=6,eot=2",
    "pgd:norm=snr,db=20,steps=3,keep=errors,loss=margin",
    "lattice:norm=snr,db=20,steps=4",
    "lattice:norm=linf,eps=0.01,steps=4,reach=2,eot=2,chunk=1",
    "lattice:norm=l2,eps=0.5,steps=3,restarts=2,stop=true",
    "dual-averaging:norm=snr,db=20,steps=4",
    "dual-averaging:norm=linf,eps=0.01,steps=4,eot=2,chunk=1",
    "dual-averaging:norm=l2,eps=0.5,steps=3,restarts=2,stop=true",
    f"universal:{PATTERN}",
    f"universal:{PATTERN},norm=linf,eps=0.01",
    "transfer:model=ds2-an4,attack=(pgd:norm=snr,db=20,steps=4)",
    "evading:detector=(disagreement:(wgn:snr=20)),attack=(pgd:norm=snr,db=20,steps=2),draws=2",
]
ROUNDED = "mulaw:bits=5,gradient=bpda"
SHRINKING = ("cw", "imperceptible")  # they look for the least that reaches the goal
WALKING = ("pgd", "apgd", "dual-averaging", "lattice")
GRADIENT = [spec for spec in SPECS if spec.startswith(WALKING + SHRINKING)]
ZERO = {
    "none": "none",
    "noise:norm=snr,db=400": "noise",
    "pgd:norm=linf,eps=0,steps=2": "linf",
    "pgd:norm=l2,eps=0,steps=2,random_start=true": "l2",
    "pgd:norm=snr,db=400,steps=2": "snr",
    "apgd:norm=linf,eps=0,steps=3": "apgd",
    "kenansville:db=400": "kenansville",
    "cw:eps=0,steps=3": "cw",
    "cw2018:eps=0,steps=3": "cw2018",
    "imperceptible:eps=0,steps=3,hiding=2": "imperceptible",
    "nes:norm=l2,eps=0,queries=4,population=2": "nes",
    "genetic:norm=linf,eps=0,queries=4,population=2,elite=1": "genetic",
    "blocks:norm=linf,eps=0,queries=3": "blocks",
    "lattice:norm=l2,eps=0,steps=3": "lattice",
    "dual-averaging:norm=linf,eps=0,steps=3": "dual-averaging",
    f"universal:{PATTERN},norm=linf,eps=0": "universal",
    "transfer:model=ds2-an4,attack=(pgd:norm=linf,eps=0,steps=1)": "transfer",
}

# The untrained recognizer hears none of the references, so these have nothing to do.
IDLE = {(spec, "untargeted") for spec in SPECS if "stop" in spec or spec.startswith(SHRINKING)}
IDLE |= {(spec, "targeted") for spec in SPECS if "keep=errors" in spec}  # all points are far off
AIMED = {spec for spec in SPECS if spec.startswith("cw") and "margin" in spec}  # they take a target
BOTH = [(spec, goal) for spec, goal in product(SPECS, ["untargeted", "targeted"])
        if spec not in AIMED or goal == "targeted"]  # fmt: skip


def busy(spec: str) -> str:
    """A goal that gives this attack something to do."""
    return "targeted" if (spec, "untargeted") in IDLE else "untargeted"


def goals() -> dict[str, Goal]:
    return {"untargeted": Untargeted(TEXTS), "targeted": Targeted(["NO", "HELP", "STOP IT"])}


def behind(model: Recognizer, spec: str) -> Recognizer:
    """``model``, with what the attack needs before it."""
    return defenses.build(ROUNDED).wrap(model) if spec.startswith("lattice") else model


def system(model: Recognizer, spec: str) -> Recognizer:
    """The same behind noise, too."""
    return behind(defenses.build("wgn:snr=20").wrap(model), spec)


@pytest.mark.parametrize(("spec", "goal"), BOTH)
class TestAttacks:
    def test_budget_padding_lengths_and_scale(
        self, spec: str, goal: str, tiny: DeepSpeech2, ragged: Audio
    ) -> None:
        attack = attacks.build(spec)
        out = attack(system(tiny, spec), ragged, goals()[goal], Draws(SEEDS))
        delta = out.wav - ragged.wav
        assert torch.equal(out.lengths, ragged.lengths)
        assert out.wav[~ragged.mask].eq(0).all()
        assert out.wav.abs().max() <= 1
        if attack.budget is None:
            assert delta.eq(0).all()
            return
        used = attack.budget.norm(delta) / attack.budget.radius(ragged)
        assert (used <= 1 + 1e-4).all()
        if (spec, goal) not in IDLE:
            assert (used > 0.199).all()  # one step at least: the margin has nothing left to gain
        clean = ragged.quantized()
        written = to_pcm16(delta, clean, attack.budget)
        used = attack.budget.norm(written.wav - clean.wav) / attack.budget.radius(clean)
        assert (used <= 1).all()
        assert torch.equal(written.wav * 32_768, torch.round(written.wav * 32_768))

    def test_the_same_seed_gives_the_same_bits(
        self, spec: str, goal: str, tiny: DeepSpeech2, ragged: Audio
    ) -> None:
        attack, aim = attacks.build(spec), goals()[goal]
        first = attack(system(tiny, spec), ragged, aim, Draws(SEEDS))
        again = attack(system(tiny, spec), ragged, aim, Draws(SEEDS))
        assert torch.equal(first.wav, again.wav)

    def test_silence_gives_no_nan(self, spec: str, goal: str, tiny: DeepSpeech2) -> None:
        silence = Audio.of([torch.zeros(5_000), torch.zeros(3_200), torch.zeros(5_000)])
        attack = attacks.build(spec)
        out = attack(system(tiny, spec), silence, goals()[goal], Draws(SEEDS))
        assert torch.isfinite(out.wav).all()
        if "snr" in spec or spec == "none":
            assert out.quantized().wav.eq(0).all()


@pytest.mark.parametrize("spec", SPECS)
def test_loud_audio_stays_within_full_scale(spec: str, tiny: DeepSpeech2, ragged: Audio) -> None:
    loud = ragged.with_wav(ragged.wav / ragged.wav.abs().amax(1, keepdim=True))
    out = attacks.build(spec)(behind(tiny, spec), loud, goals()[busy(spec)], Draws(SEEDS))
    assert out.wav.abs().max() <= 1


@pytest.mark.parametrize("spec", SPECS)
def test_a_batch_equals_its_singles(spec: str, tiny: DeepSpeech2, ragged: Audio) -> None:
    model = system(tiny, spec)
    if "transfer" not in spec:  # its own recognizer hears 32-bit floats
        model, ragged = system(tiny.double(), spec), Audio(ragged.wav.double(), ragged.lengths)
    attack = attacks.build(spec)
    goal = goals()[busy(spec)]
    out = attack(model, ragged, goal, Draws(SEEDS))
    for i, wave in enumerate(ragged):
        alone = attack(model, Audio.of([wave]), goal.pick([i]), Draws(SEEDS[i : i + 1]))
        delta = alone.wav[0] - wave
        assert (out.wav[i, : len(wave)] - alone.wav[0]).norm() <= 1e-2 * delta.norm()


@pytest.mark.parametrize("spec", SPECS)
def test_another_device_gives_the_same(spec: str, ragged: Audio, device: str) -> None:
    audio, model = ragged, system(Frames(), spec)
    if spec.startswith("transfer"):  # through its own recognizer, in 32-bit floats
        spec = spec.replace("steps=4", "steps=1,step=1")
    else:
        audio = Audio(ragged.wav.double(), ragged.lengths)
    attack, goal = attacks.build(spec), goals()[busy(spec)]
    here = attack(model, audio, goal, Draws(SEEDS))
    there = attack(model, audio.to(device), goal, Draws(SEEDS))
    assert there.wav.device.type == there.lengths.device.type == device
    delta = here.wav - audio.wav
    assert (there.to("cpu").wav - here.wav).norm() <= 1e-2 * delta.norm()


@pytest.mark.parametrize("spec", ZERO)
def test_a_zero_budget_is_the_identity(spec: str, tiny: DeepSpeech2, ragged: Audio) -> None:
    out = attacks.build(spec)(behind(tiny, spec), ragged, Untargeted(TEXTS), Draws(SEEDS))
    assert torch.allclose(out.wav, ragged.wav, atol=1e-9)


@pytest.mark.parametrize(
    ("spec", "goal"), [pair for pair in BOTH if pair[0] in GRADIENT and pair not in IDLE]
)
def test_the_goals_loss_falls(spec: str, goal: str, tiny: DeepSpeech2, ragged: Audio) -> None:
    aim, model = goals()[goal], behind(tiny, spec)
    out = attacks.build(spec)(model, ragged, aim, Draws(SEEDS))

    def loss(audio: Audio) -> Tensor:
        return aim.loss(model, audio, Draws(SEEDS))

    assert (loss(out) < loss(ragged)).all()
    budget = attacks.build(spec).budget
    assert budget is not None
    noise = budget.step(torch.randn(ragged.wav.shape) * ragged.mask, ragged)
    noisy = ragged.with_wav(ragged.wav + noise * budget.radius(ragged)[:, None])
    assert (loss(out) < loss(noisy)).all()


# A transfer is its inner attack, on a recognizer that takes its time for half a minute.
@pytest.mark.parametrize("spec", [spec for spec in SPECS if not spec.startswith("transfer")])
def test_half_a_minute_and_one_word(spec: str) -> None:
    generator = torch.Generator().manual_seed(2)
    waves = [0.1 * torch.randn(n, generator=generator) for n in (480_000, 4_000)]
    audio, model = Audio.of(waves), behind(Frames(), spec)
    goal = Targeted(["A LONG STORY", "NO"])
    attack = attacks.build(spec)
    out = attack(model, audio, goal, Draws([1, 2]))
    delta = out.wav - audio.wav
    if attack.budget is not None:
        assert (attack.budget.norm(delta) <= attack.budget.radius(audio) * (1 + 1e-4)).all()
        assert (delta.abs().amax(1) > 0).all()
    assert torch.isfinite(out.wav).all()
    assert out.wav[1, 4_000:].eq(0).all()
    if spec in GRADIENT:
        before, after = (goal.loss(model, heard, Draws([1, 2])) for heard in (audio, out))
        assert (after < before).all()


@pytest.mark.parametrize("spec", GRADIENT)
def test_a_target_that_does_not_fit_says_what_to_do(spec: str, tiny: DeepSpeech2) -> None:
    audio = Audio.of([0.1 * torch.randn(2_000)])
    with pytest.raises(TextError, match="choose a shorter text or longer audio"):
        attacks.build(spec)(
            behind(tiny, spec), audio, Targeted(["A VERY LONG TARGET INDEED"]), Draws([1])
        )


def test_every_attack_is_tested_here() -> None:
    assert {s.partition(":")[0] for s in SPECS} | {"python"} == set(attacks.ATTACKS.table)


@pytest.mark.parametrize(
    "name", sorted(set(attacks.ATTACKS.table) - {"python"})
)  # which says it when made
def test_every_attack_says_what_access_it_has(name: str) -> None:
    assert attacks.access_of(attacks.ATTACKS.table[name]) in attacks.ACCESSES

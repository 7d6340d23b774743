import pytest
import torch

from melmoat import attacks
from melmoat.attacks import Targeted
from melmoat.attacks.masking import Masking
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.spec import SpecError
from tests.attacks.toys import Frames

SEEDS = (1, 2, 3)
GOAL = Targeted(["NO", "HELP ME", "STOP"])
FIRST = "eps=0.2,steps=40,lr=5e-3,decrease=0.9,every=5"


def test_it_hides_what_reaches_the_goal(ragged: Audio) -> None:
    clean = ragged.quantized()
    loud = attacks.build(f"cw:{FIRST}")(Frames(), clean, GOAL, Draws(SEEDS))
    attack = attacks.build(f"imperceptible:{FIRST},hiding=100,hiding_lr=2e-4,alpha=1e-6")
    out = attack(Frames(), clean, GOAL, Draws(SEEDS))
    assert GOAL.reached(Frames().transcribe(out, Draws(SEEDS))) == [True] * 3
    masking = Masking(clean)
    before, after = (masking.excess(heard.wav - clean.wav) for heard in (loud, out))
    assert (after < before).all()
    before, after = (masking.audible(heard.wav - clean.wav) for heard in (loud, out))
    assert (after < before).all()


def test_both_stages_do_not_depend_on_the_batch(ragged: Audio) -> None:
    clean = Audio(ragged.wav.double(), ragged.lengths).quantized()
    attack = attacks.build(f"imperceptible:{FIRST},hiding=60,hiding_lr=2e-4,alpha=1e-6")
    model = Frames(torch.double)
    whole = attack(model, clean, GOAL, Draws(SEEDS))
    for i, wave in enumerate(clean):
        alone = attack(model, Audio.of([wave]), GOAL.pick([i]), Draws([SEEDS[i]]))
        assert torch.allclose(alone.wav[0], whole.wav[i, : len(wave)], atol=1e-9)


def test_without_success_the_first_stage_is_returned(ragged: Audio) -> None:
    goal = Targeted(["NO", "HELP ME", "STOP"])
    first = attacks.build("cw:eps=1e-3,steps=4,lr=1e-4,decrease=0.8,every=10")
    attack = attacks.build("imperceptible:eps=1e-3,steps=4,lr=1e-4,hiding=3")
    out, kept = (a(Frames(), ragged.quantized(), goal, Draws(SEEDS)) for a in (attack, first))
    assert torch.equal(out.wav, kept.wav)


def test_evaluations_are_counted(ragged: Audio) -> None:
    attack = attacks.build("imperceptible:steps=3,hiding=2,eot=3,chunk=2")
    calls: list[int] = []

    class Counting(Frames):
        def log_probs(self, audio: Audio, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
            calls.append(len(audio))
            return super().log_probs(audio, draws)

    out = attack(Counting(), ragged, GOAL, Draws(SEEDS))
    assert len(calls) == attack.evaluations
    assert isinstance(out, Crafted)
    assert out.queries is not None
    assert out.queries.tolist() == [sum(calls) // 3] * 3


@pytest.mark.parametrize("option", ["hiding=0", "hiding_lr=-1", "alpha=nan"])
def test_unusable_options_say_why(option: str) -> None:
    with pytest.raises(SpecError, match="must be positive and finite"):
        attacks.build(f"imperceptible:{option}")

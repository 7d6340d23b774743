"""Attacks on a recognizer and a detector together."""

import pytest
import torch

from melmoat import attacks, detectors
from melmoat.attacks import Targeted, Untargeted
from melmoat.attacks.base import Goal
from melmoat.audio import Audio
from melmoat.draws import Draws
from melmoat.models import DeepSpeech2
from melmoat.models.wrappers import Monitored
from melmoat.spec import SpecError
from tests.attacks.toys import Frames

INNER = "pgd:norm=snr,db=10,steps=6"
SEEDS = (1, 2, 3)
GOALS: list[Goal] = [Untargeted(["GO ON", "ENTER SIX", "A"]), Targeted(["NO", "HELP", "STOP IT"])]
DETECTORS = ["disagreement:(wgn:snr=15)", "distriblock"]  # likelihood has the evasion of the first


def spec(detector: str, rest: str = "", inner: str = INNER) -> str:
    return f"evading:detector=({detector}),attack=({inner}){rest}"


@pytest.mark.parametrize("goal", GOALS, ids=["untargeted", "targeted"])
@pytest.mark.parametrize("detector", DETECTORS)
def test_both_losses_fall_together(
    detector: str, goal: Goal, tiny: DeepSpeech2, ragged: Audio
) -> None:
    made, targets = detectors.build(detector), getattr(goal, "targets", None)
    plain = attacks.build(INNER)(tiny, ragged, goal, Draws(SEEDS))
    quiet = attacks.build(spec(detector))(tiny, ragged, goal, Draws(SEEDS))

    def losses(audio: Audio) -> torch.Tensor:
        draws = [Draws([n] * 3) for n in range(3)]  # that neither attack saw
        evasion = sum(made.evasion(tiny, audio, one, targets) for one in draws) / len(draws)
        return torch.stack([goal.loss(tiny, audio, draws[0]), torch.as_tensor(evasion)])

    clean, unaware, aware = (losses(audio).sum(1) for audio in (ragged, plain, quiet))
    if targets:  # without a target, the texts whose losses are lowered differ
        assert aware.sum() < unaware.sum()
    assert aware[1] < unaware[1]  # the detector's
    assert aware[0] < clean[0]  # and the goal's


@pytest.mark.parametrize("inner", [INNER, f"{INNER},loss=margin"])
@pytest.mark.parametrize("detector", DETECTORS)
def test_without_weight_it_is_the_plain_attack(detector: str, inner: str, ragged: Audio) -> None:
    plain = attacks.build(inner)(Frames(), ragged, GOALS[0], Draws(SEEDS))
    made = attacks.build(spec(detector, ",weight=0", inner))
    assert torch.equal(made(Frames(), ragged, GOALS[0], Draws(SEEDS)).wav, plain.wav)


def test_the_mean_over_draws_is_lowered(ragged: Audio) -> None:
    """With a step of length 1, the perturbation points along the mean of two gradients."""
    one_step = "pgd:norm=l2,eps=0.01,steps=1,step=1"
    detector = "disagreement:(wgn:snr=0)"
    made, model = detectors.build(detector), Frames()
    audio = Audio(ragged.wav.double(), ragged.lengths)
    wav = audio.wav.clone().requires_grad_()
    heard = audio.with_wav(wav)
    # PGD draws from these streams in its first step.
    streams = Draws(SEEDS).fork("run 0").fork(0).pick(range(3))
    parts = [
        made.evasion(model, heard, streams.fork(f"detector {n}"), GOALS[1].targets)  # type: ignore[attr-defined]
        for n in range(2)
    ]
    total = GOALS[1].loss(model, heard, Draws(SEEDS)) + 3 * (parts[0] + parts[1]) / 2
    (slope,) = torch.autograd.grad(total.sum(), wav)
    attack = attacks.build(spec(detector, ",weight=3,draws=2", one_step))
    delta = attack(model, audio, GOALS[1], Draws(SEEDS)).wav - audio.wav
    wanted = -0.01 * slope / slope.norm(dim=1, keepdim=True)
    assert torch.allclose(delta, wanted, atol=1e-9)


def test_a_step_is_one_tick(ragged: Audio) -> None:
    ticks: list[int] = []
    made = attacks.build(spec("disagreement:mulaw:gradient=bpda"))
    model = Monitored(Frames(), lambda: ticks.append(1))
    made(model, ragged, GOALS[0], Draws(SEEDS))
    assert len(ticks) == made.evaluations == 6
    assert made.budget == attacks.build(INNER).budget
    assert made.goal(["A"], ["B"]) == Untargeted(["A"])


@pytest.mark.parametrize(
    ("inner", "said"),
    [
        ("noise:db=20", "a gradient, such as pgd"),
        ("nes:norm=snr,db=20,queries=9,population=4", "a gradient, such as pgd"),
        ("pgd:db=20,stop=true", "decide by transcripts"),
        ("apgd:db=20,keep=errors", "decide by transcripts"),
        ("cw:target=GO", "shrinks its perturbation by transcripts"),
        ("pgd:db=20,target=endless", "a loss of its own"),
    ],
)
def test_attacks_that_cannot_evade_are_refused(inner: str, said: str) -> None:
    with pytest.raises(SpecError, match=said):
        attacks.build(spec("distriblock", inner=inner))
    with pytest.raises(SpecError, match="weight must be finite"):
        attacks.build(spec("distriblock", ",draws=0"))

import torch

from melmoat import attacks
from melmoat.attacks.apgd import checkpoints
from melmoat.attacks.base import Targeted
from melmoat.attacks.oracle import Crafted
from melmoat.audio import Audio
from melmoat.draws import Draws
from tests.attacks.test_gradient import Bowl
from tests.attacks.toys import Frames


def test_checkpoints_are_the_papers() -> None:
    assert checkpoints(100) == [0, 22, 41, 57, 70, 80, 87, 93, 99]
    assert checkpoints(1) == [0]
    assert all(n < 10 for n in checkpoints(10))


def test_steps_shrink_until_the_point_is_met() -> None:
    audio = Audio.of([torch.tensor([0.5, 0.0]), torch.tensor([0.3, 0.0])])
    distances = []
    for steps in (5, 20, 100):
        attack = attacks.build(f"apgd:norm=linf,eps=1,steps={steps}")
        out = attack(Bowl(), audio, Targeted(["HIT", "HIT"]), Draws([0, 1]))
        distances.append(out.wav[:, 0].abs())
    assert (distances[1] <= distances[0]).all()
    assert (distances[2] < 0.02).all()  # the first steps are 1 long


def test_evaluations_and_queries_are_counted(ragged: Audio) -> None:
    calls: list[int] = []

    class Counting(Frames):
        def log_probs(self, audio: Audio, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
            calls.append(len(audio))
            return super().log_probs(audio, draws)

    goal = Targeted(["NO", "HELP", "STOP IT"])
    for spec in ("apgd:db=20,steps=4", "apgd:db=20,steps=3,restarts=2,eot=3,chunk=2"):
        calls.clear()
        attack = attacks.build(spec)
        out = attack(Counting(), ragged, goal, Draws([1, 2, 3]))
        assert len(calls) == attack.evaluations
        assert isinstance(out, Crafted)
        assert out.queries is not None
        assert out.queries.tolist() == [sum(calls) // 3] * 3


def test_a_huge_budget_always_succeeds(ragged: Audio) -> None:
    goal = Targeted(["NO", "HELP ME", "STOP"])
    out = attacks.build("apgd:norm=linf,eps=1,steps=60,stop=true")(
        Frames(), ragged, goal, Draws([1, 2, 3])
    )
    assert goal.reached(Frames().transcribe(out, Draws([7, 8, 9]))) == [True] * 3
    assert isinstance(out, Crafted)
    assert out.first is not None
    assert (out.first >= 0).all()

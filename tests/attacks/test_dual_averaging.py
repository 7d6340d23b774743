"""The walk against the sum of all gradients."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from melmoat import attacks
from melmoat.attacks import Targeted
from melmoat.attacks.oracle import Crafted, LossOracle
from melmoat.audio import Audio
from melmoat.draws import Draws
from tests.attacks.toys import Frames

SIZE = 2_000


class Slope:
    """A recognizer whose loss is linear, seen through noise in its gradient."""

    rate = 16_000

    def __init__(self, noise: float = 0.0) -> None:
        self.slope = torch.randn(SIZE, generator=torch.Generator().manual_seed(3))
        self.noise = noise

    def transcribe(self, audio: Audio, draws: Draws) -> list[str]:
        return ["MISS"] * len(audio)

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        noisy = self.slope + self.noise * draws.normal(audio.wav)
        return (audio.wav * noisy).sum(1)


def lowered(spec: str, model: Slope) -> float:
    """How far the true loss falls, as a share of the most that the budget allows in l2."""
    audio = Audio.of([torch.zeros(SIZE)])
    attack = attacks.build(spec)
    made = attack(model, audio, Targeted(["HIT"]), Draws([1]))
    assert attack.budget is not None
    assert float(attack.budget.norm(made.wav)) <= 0.01 * (1 + 1e-5)
    return float(-(made.wav * model.slope).sum() / (0.01 * model.slope.norm()))


def test_on_a_slope_the_first_point_is_the_best_of_the_ball() -> None:
    assert lowered("dual-averaging:norm=l2,eps=0.01,steps=1", Slope()) == pytest.approx(1, abs=1e-4)


def test_in_the_box_the_largest_sums_move_a_sample_to_the_edge_and_all_move_downwards() -> None:
    audio, model = Audio.of([torch.zeros(SIZE)]), Slope()
    attack = attacks.build("dual-averaging:norm=linf,eps=0.01,steps=1")
    delta = attack(model, audio, Targeted(["HIT"]), Draws([1])).wav[0]
    steep = model.slope.abs() >= model.slope.abs().mean()
    assert torch.allclose(delta[steep], -0.01 * model.slope[steep].sign())
    share = model.slope[~steep] / model.slope.abs().mean()
    assert torch.allclose(delta[~steep], -0.01 * share, atol=1e-6)


def test_noise_in_the_gradient_averages_out_over_the_steps() -> None:
    few, many = (f"norm=l2,eps=0.01,steps={steps}" for steps in (4, 100))
    model = Slope(noise=4)
    assert lowered(f"dual-averaging:{few}", model) < 0.6
    left, descent = (1 - lowered(f"{name}:{many}", model) for name in ("dual-averaging", "apgd"))
    assert left < 0.1
    assert left < 0.6 * descent


def test_padding_says_nothing_of_the_mean(ragged: Audio) -> None:
    class Sum(Slope):
        def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
            return audio.wav.sin().sum(1)

    attack = attacks.build("dual-averaging:norm=linf,db=20,steps=1")
    goal = Targeted(["HIT"] * len(ragged))
    together = attack(Sum(), ragged, goal, Draws([1, 2, 3]))
    for row, seed in enumerate((1, 2, 3)):
        alone = attack(Sum(), ragged.pick([row]), Targeted(["HIT"]), Draws([seed]))
        length = int(ragged.lengths[row])
        assert torch.allclose(together.wav[row, :length], alone.wav[0, :length], atol=1e-7)


class Script(Slope):
    """A recognizer whose gradients and losses are given."""

    def __init__(self, losses: Sequence[float], slopes: Sequence[Sequence[float]]) -> None:
        self.losses, self.slopes, self.calls = losses, [*slopes, [0.0, 0.0]], 0

    def loss(self, audio: Audio, texts: Sequence[str], draws: Draws) -> Tensor:
        step = (audio.wav * torch.tensor([self.slopes[self.calls]])).sum(1)
        self.calls += 1
        return step - step.detach() + self.losses[self.calls - 1]


def points(losses: Sequence[float], slopes: Sequence[Sequence[float]]) -> tuple[Tensor, Tensor]:
    """What the walk over three steps returns, and every point of it."""
    audio = Audio.of([torch.zeros(2)])
    attack = attacks.DualAveraging(norm="l2", eps=1.0, steps=3)
    seen: list[Tensor] = []

    class Seen(LossOracle):
        def __call__(self, delta: Tensor, *args: object, **more: object):  # type: ignore[no-untyped-def]
            seen.append(delta)
            return super().__call__(delta, *args, **more)  # type: ignore[arg-type]

    oracle = Seen(Script(losses, slopes), audio, Targeted(["HIT"]), 1, None)
    best, _ = attack.walk(oracle, torch.zeros(1, 2), Draws([1]), torch.ones(1, dtype=torch.bool))
    return best[0], torch.cat(seen)


def test_every_gradient_counts_the_same_and_the_best_point_is_kept() -> None:
    half = 0.5**0.5
    slopes = [[1.0, 0.0], [0.0, 10.0], [-1.0, 0.0]]
    path = torch.tensor([[0, 0], [-1, 0], [-half, -half], [0, -1]])
    for place in range(4):
        losses = [1.0] * 4
        losses[place] = 0.0
        best, seen = points(losses, slopes)
        assert torch.allclose(seen, path, atol=1e-6)
        assert torch.allclose(best, path[place], atol=1e-6)


def test_a_tiny_gradient_does_not_outweigh_the_others() -> None:
    slopes = [[1e-24, 0.0], [0.0, 1.0], [0.0, 1.0]]  # the square of the first underflows
    _, seen = points([1.0] * 4, slopes)
    assert torch.allclose(seen[2], torch.tensor([-(0.5**0.5), -(0.5**0.5)]))
    assert torch.allclose(seen[3], torch.tensor([-(0.2**0.5), -(0.8**0.5)]))


def test_samples_at_full_scale_take_no_share_of_the_budget() -> None:
    model = Slope()
    wav = torch.where(torch.arange(SIZE) % 2 == 0, -model.slope.sign(), torch.zeros(SIZE))
    audio = Audio.of([wav])  # half of the samples cannot go on downwards
    made = attacks.build("dual-averaging:norm=l2,eps=0.01,steps=1")(
        model, audio, Targeted(["HIT"]), Draws([1])
    )
    assert float((made.wav - wav).norm()) == pytest.approx(0.01, rel=1e-3)
    assert made.wav.abs().max() <= 1


def test_it_stops_where_the_goal_is_reached(ragged: Audio) -> None:
    goal = Targeted(["NO", "HELP ME", "STOP"])
    attack = attacks.build("dual-averaging:norm=linf,eps=1,steps=60,stop=true")
    out = attack(Frames(), ragged, goal, Draws([1, 2, 3]))
    assert goal.reached(Frames().transcribe(out, Draws([7, 8, 9]))) == [True] * 3
    assert isinstance(out, Crafted)
    assert out.first is not None
    assert (out.first >= 0).all()

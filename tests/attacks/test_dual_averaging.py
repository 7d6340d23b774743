"""The walk against the sum of all gradients."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from melmoat import attacks
from melmoat.attacks import Targeted
from melmoat.audio import Audio
from melmoat.draws import Draws

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
    assert (delta[~steep] * model.slope[~steep] < 0).all()


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

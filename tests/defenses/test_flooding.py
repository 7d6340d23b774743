"""The noise is what the formulas say."""

import pytest
import torch

from melmoat.defenses.flooding import Flooding
from melmoat.draws import Draws

FRAMES = torch.tensor([9, 5])
MEL = torch.randn(2, 6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) - 2
CURVE = (1.0, 0.5, 0.25, 0.5, 0.1, 0.2)


def test_in_every_frame_the_noise_has_the_level_times_the_frames_norm() -> None:
    noise = Flooding(0.05, CURVE)(MEL, FRAMES, Draws([1, 2])) - MEL
    assert torch.allclose(noise.norm(dim=1), 0.05 * MEL.norm(dim=1))


def test_over_an_utterance_the_noise_has_the_level_whatever_its_length() -> None:
    noise = Flooding(20, CURVE, norm="utterance")(MEL, FRAMES, Draws([1, 2])) - MEL
    totals = [float(n[:, :f].norm()) for n, f in zip(noise, FRAMES.tolist(), strict=True)]
    assert totals == pytest.approx([20.0, 20.0])


@pytest.mark.parametrize(("shape", "power"), [("amplitude", 1.0), ("variance", 0.5)])
def test_the_shaping_is_that_of_amplitude_or_variance(shape: str, power: float) -> None:
    draws = Draws([3]).normal(MEL[:1])
    shaped = draws * torch.tensor(CURVE, dtype=torch.float64)[:, None] ** power
    noise = Flooding(0.3, CURVE, shape=shape)(MEL[:1], FRAMES[:1], Draws([3])) - MEL[:1]  # type: ignore[arg-type]
    assert torch.allclose(noise / noise.norm(dim=1, keepdim=True), shaped / shaped.norm(dim=1))


def test_unshaped_noise_is_equal_in_every_band() -> None:
    flat = Flooding(0.3)(MEL, FRAMES, Draws([3, 4]))
    assert torch.equal(flat, Flooding(0.3, (1.0,) * 6)(MEL, FRAMES, Draws([3, 4])))


@pytest.mark.parametrize("norm", ["frame", "utterance"])
def test_the_gradient_flows_through_the_noises_scale(norm: str) -> None:
    flood = Flooding(0.3, CURVE, norm=norm)  # type: ignore[arg-type]
    mel = MEL.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: flood(x, FRAMES, Draws([1, 2])), mel)


def test_an_empty_frame_gets_no_noise_and_no_nan() -> None:
    x = torch.zeros(1, 4, 3, requires_grad=True)
    out = Flooding(0.5)(x, torch.tensor([3]), Draws([0]))
    out.sum().backward()
    assert out.abs().max() < 1e-12
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("level", [-0.1, float("nan"), float("inf")])
def test_a_level_must_be_a_level(level: float) -> None:
    with pytest.raises(ValueError, match="level must be a finite number"):
        Flooding(level)

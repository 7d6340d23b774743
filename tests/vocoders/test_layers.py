"""The channels-last layers are PyTorch's one-dimensional ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from melmoat.vocoders.layers import Conv, Reflect, Stretch, enter

PAIRS = {
    "conv": (Conv(3, 5, 3, padding=2, dilation=2), nn.Conv1d(3, 5, 3, padding=2, dilation=2)),
    "one": (Conv(3, 5, 1), nn.Conv1d(3, 5, 1)),
    "no-bias": (Conv(3, 5, 1, bias=False), nn.Conv1d(3, 5, 1, bias=False)),
    "stretch": (
        Stretch(3, 5, 6, stride=3, padding=2, output_padding=1),
        nn.ConvTranspose1d(3, 5, 6, stride=3, padding=2, output_padding=1),
    ),
    "reflect": (Reflect(4), nn.ReflectionPad1d(4)),
}


@pytest.mark.parametrize("name", PAIRS)
def test_same_values_and_gradients(name: str) -> None:
    ours, plain = (module.double() for module in PAIRS[name])
    plain.load_state_dict(ours.state_dict())

    def flat(x: Tensor) -> Tensor:
        return ours(enter(x))[:, :, 0]

    x = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)
    inputs = (x, *plain.parameters())
    torch.testing.assert_close(flat(x), plain(x), rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(plain(x))
    expected = torch.autograd.grad((plain(x) * weight).sum(), inputs)
    found = torch.autograd.grad((flat(x) * weight).sum(), (x, *ours.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(flat, x)

"""The channels-last layers are PyTorch's one-dimensional ones, and keep less for a gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from melmoat.vocoders import HiFiGAN, HiFiGANConfig, MelGAN, MelGANConfig
from melmoat.vocoders.layers import Conv, Reflect, Stretch, enter
from melmoat.vocoders.melgan import ResidualBlock

PAIRS = {
    "conv": (Conv(3, 5, 3, padding=2, dilation=2), nn.Conv1d(3, 5, 3, padding=2, dilation=2)),
    "strided": (Conv(3, 5, 4, stride=3, padding=1), nn.Conv1d(3, 5, 4, stride=3, padding=1)),
    "one": (Conv(3, 5, 1), nn.Conv1d(3, 5, 1)),
    "no-bias": (Conv(3, 5, 1, bias=False), nn.Conv1d(3, 5, 1, bias=False)),
    "stretch": (
        Stretch(3, 5, 6, stride=3, padding=2, output_padding=1),
        nn.ConvTranspose1d(3, 5, 6, stride=3, padding=2, output_padding=1),
    ),
    "reflect": (Reflect(4), nn.ReflectionPad1d(4)),
    "reflect-uneven": (Reflect((0, 3)), nn.ReflectionPad1d((0, 3))),
}


@pytest.mark.parametrize("frozen", [False, True], ids=["trained", "frozen"])
@pytest.mark.parametrize("name", PAIRS)
def test_same_values_and_gradients(name: str, frozen: bool) -> None:
    ours, plain = (module.double().requires_grad_(not frozen) for module in PAIRS[name])
    plain.load_state_dict(ours.state_dict())

    def flat(x: Tensor) -> Tensor:
        return ours(enter(x))[:, :, 0]

    x = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)
    wanted = [] if frozen else [*plain.parameters()]
    torch.testing.assert_close(flat(x), plain(x), rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(plain(x))
    expected = torch.autograd.grad((plain(x) * weight).sum(), (x, *wanted))
    wanted = [] if frozen else [*ours.parameters()]
    found = torch.autograd.grad((flat(x) * weight).sum(), (x, *wanted))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(flat, x)


@pytest.mark.parametrize("dilation", [1, 3, 9])
def test_a_frozen_residual_block_is_its_layers(dilation: int) -> None:
    block = ResidualBlock(3, dilation).double().requires_grad_(False)
    x = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)

    def layers(x: Tensor) -> Tensor:
        return block.layer_by_layer(enter(x))

    kept = x.detach().clone()
    torch.testing.assert_close(block(enter(x)), layers(x), rtol=1e-12, atol=1e-12)
    weight = torch.randn_like(layers(x))
    found, expected = (
        torch.autograd.grad((run(x) * weight).sum(), x)
        for run in (lambda x: block(enter(x)), layers)
    )
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(x.detach(), kept, rtol=0, atol=0)  # nothing was changed in place
    assert torch.autograd.gradcheck(lambda x: block(enter(x)), x)
    with pytest.raises(RuntimeError, match=r"[Pp]adding"):  # no room for the reflection
        block(enter(x[..., :dilation]))


@pytest.mark.parametrize(
    "vocoder",
    [
        MelGAN(MelGANConfig(channels=64)),
        HiFiGAN(HiFiGANConfig(channels=64)),
    ],
    ids=["melgan", "hifigan"],
)
def test_a_frozen_generator_keeps_a_fraction_of_its_graph(vocoder: MelGAN | HiFiGAN) -> None:
    mel = torch.randn(1, vocoder.mel.bands, 40, requires_grad=True)

    def kept() -> int:
        """Bytes of values that the graph of one pass holds, each counted once."""
        held: dict[int, int] = {}

        def pack(x: Tensor) -> Tensor:
            storage = x.untyped_storage()
            held[storage.data_ptr()] = storage.nbytes()
            return x

        with saved_tensors_hooks(pack, lambda x: x):
            y = vocoder(mel)
        assert y.requires_grad
        weights = {p.untyped_storage().data_ptr() for p in vocoder.parameters()}
        return sum(size for where, size in held.items() if where not in weights)

    trained = kept()
    vocoder.requires_grad_(False)
    assert kept() < 0.6 * trained

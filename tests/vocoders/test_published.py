"""The published generators are reproduced, at the sizes of the goldens and at others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from melmoat.vocoders import MelGAN, MelGANConfig, ParallelWaveGAN, ParallelWaveGANConfig, Vocoder
from melmoat.vocoders import melgan as melgan_module
from melmoat.vocoders import parallel_wavegan as pwg_module
from melmoat.vocoders.base import fold_weight_norm


@pytest.fixture
def one_thread() -> Iterator[None]:
    """The goldens' random MelGANs reach 60 000 before their tanh: the order of sums shows."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", ["melgan_descript_a", "melgan_pwg_a"])
def test_melgan(shared: Path, name: str) -> None:
    golden = torch.load(shared / "golden" / f"{name}.pt", weights_only=True)
    state = golden["state_dict"] if "state_dict" in golden else golden["model"]["generator"]
    wave = melgan_module.from_published(state)(golden["mel"])
    assert torch.allclose(wave, golden["wave"][:, 0], atol=1e-4)


def test_parallel_wavegan(shared: Path) -> None:
    golden = torch.load(shared / "golden" / "pwg_a.pt", weights_only=True)
    generator = pwg_module.from_published(golden["model"]["generator"], golden["stacks"])
    assert generator.config.scales == tuple(golden["upsample_scales"])
    wave = generator(golden["mel"], golden["noise"])
    assert torch.allclose(wave, golden["wave"][:, 0], atol=1e-4)


def test_published_sizes() -> None:
    with torch.device("meta"):
        melgan, pwg = MelGAN(), ParallelWaveGAN(ParallelWaveGANConfig(scales=(4, 5, 3, 5)))
    assert with_gains(melgan) == 4_266_050
    assert with_gains(pwg) == 1_346_044


def with_gains(generator: nn.Module) -> int:
    """Parameters with one weight-norm gain for each slice of each convolution's first axis."""
    convs = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d)
    gains = sum(m.weight.shape[0] for m in generator.modules() if isinstance(m, convs))
    return gains + sum(p.numel() for p in generator.parameters())


SMALL: list[Vocoder] = [
    MelGAN(MelGANConfig(bands=6, channels=32, ratios=(5, 3), blocks=2)),
    MelGAN(MelGANConfig(bands=6, channels=16, ratios=(4,), blocks=1)),
    ParallelWaveGAN(
        ParallelWaveGANConfig(
            bands=6, layers=4, stacks=2, residual=4, gate=6, skip=5, scales=(3, 5)
        )
    ),
]


def noise_for(vocoder: Vocoder, mel: Tensor) -> Tensor | None:
    if not vocoder.noisy:
        return None
    return torch.randn(len(mel), 1, mel.shape[-1] * vocoder.hop, dtype=mel.dtype)


@pytest.mark.parametrize("vocoder", SMALL, ids=lambda v: f"{type(v).__name__}-{v.hop}")
class TestFamily:
    def test_every_frame_becomes_hop_samples(self, vocoder: Vocoder) -> None:
        for frames in (5, 12):
            mel = torch.randn(2, 6, frames)
            wave = vocoder(mel, noise_for(vocoder, mel))
            assert wave.shape == (2, frames * vocoder.hop)

    def test_the_gradient_is_exact(self, vocoder: Vocoder) -> None:
        double = vocoder.double()
        torch.manual_seed(0)
        mel = torch.randn(1, 6, 5, dtype=torch.float64)
        noise = noise_for(vocoder, mel)
        assert torch.autograd.gradcheck(
            lambda m: double(m, noise), mel.requires_grad_(), fast_mode=True
        )
        vocoder.float()


def weight_normed(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same network with weight norm, as the published checkpoints hold it."""
    out = {}
    for key, value in weights.items():
        if key.endswith("weight"):
            shape = (-1,) + (1,) * (value.dim() - 1)
            out[f"{key}_g"] = value.flatten(1).norm(dim=1).view(shape)
            out[f"{key}_v"] = 3.0 * value
        else:
            out[key] = value
    return out


def test_weight_norm_is_folded() -> None:
    weights = {"a.weight": torch.randn(3, 4, 5), "a.bias": torch.randn(3)}
    folded = fold_weight_norm(weight_normed(weights))
    assert folded.keys() == weights.keys()
    assert all(torch.allclose(folded[k], weights[k], atol=1e-6) for k in weights)


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize(
    ("prefix", "block", "skip"), [("model", "block", "shortcut"), ("melgan", "stack", "skip_layer")]
)
def test_melgan_of_any_size(index: int, prefix: str, block: str, skip: str) -> None:
    ours = SMALL[index]
    assert isinstance(ours, MelGAN)
    state = {
        key.replace("layers.", f"{prefix}.").replace("block", block).replace("shortcut", skip): v
        for key, v in weight_normed(ours.state_dict()).items()
    }
    loaded = melgan_module.from_published(state)
    assert loaded.config == ours.config
    mel = torch.randn(1, 6, 9)
    assert torch.allclose(loaded(mel), ours(mel), atol=1e-5)


def test_parallel_wavegan_needs_noise_of_the_right_length() -> None:
    with pytest.raises(ValueError, match="takes noise of 60 samples for 4 frames, got None"):
        SMALL[2](torch.zeros(1, 6, 4))

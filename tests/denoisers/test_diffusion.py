"""The denoiser of diffusion purification: its limits, its exactness, its file."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from melmoat.denoisers import diffusion
from melmoat.denoisers.diffusion import DiffusionConfig, DiffusionDenoiser
from melmoat.vocoders import checkpoints
from melmoat.weights import WeightsError
from tests.defenses.tiny import tiny_diffusion, tiny_melgan

LENGTHS = (200, 77, 5)


def fresh() -> DiffusionDenoiser:
    """A network whose last layer is zero: it adds nothing to the scaling around it."""
    torch.manual_seed(0)
    config = DiffusionConfig(16, 2, 4, 5, 6, 8, blocks=2, kernel=3, embedding=4)
    return DiffusionDenoiser(config).double().requires_grad_(False)


def batch(lengths: tuple[int, ...] = LENGTHS) -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    waves = [torch.randn(length, dtype=torch.float64) for length in lengths]
    return torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), torch.tensor(lengths)


def test_the_spectrum_of_white_noise_is_one_and_its_inverse_is_exact() -> None:
    network = DiffusionDenoiser(DiffusionConfig()).double()
    torch.manual_seed(0)
    noise = torch.randn(4, 40_001, dtype=torch.float64)
    seen = network.spectrum(noise)
    assert seen.shape == (4, network.frames(40_001), 257)
    inside = seen[:, 1:-1].abs().square().mean((0, 1))
    assert torch.allclose(inside, torch.ones(257, dtype=torch.float64), atol=0.25)
    assert float(inside.mean()) == pytest.approx(1, abs=0.01)
    assert torch.allclose(network.waveform(seen, 40_001), noise, atol=1e-12)


@pytest.mark.parametrize("make", [fresh, lambda: tiny_diffusion().double()])
def test_without_noise_it_is_the_identity(make: object) -> None:
    wav, lengths = batch()
    assert callable(make)
    for sigma, wrong in ((0.0, 1e-12), (1e-6, 1e-4)):
        made = make()(wav, lengths, torch.full((3,), sigma).double(), torch.ones(3).double())
        for one, other, length in zip(made, wav, LENGTHS, strict=True):
            assert torch.allclose(one[:length], other[:length], atol=wrong)


def test_an_untrained_network_is_the_best_estimate_of_white_gaussian_speech() -> None:
    """The posterior mean of x, where y = x + n, is v(x) / (v(x) + v(n)) y; the gain of Wiener."""
    network = fresh()
    network.log_profile.fill_(torch.tensor(0.4).log())
    wav, lengths = batch()
    sigma, level = torch.tensor([0.1, 1.0, 30.0]).double(), torch.tensor([1.0, 0.5, 2.0]).double()
    made = network(wav, lengths, sigma, level)
    gain = (0.4 * level) ** 2 / ((0.4 * level) ** 2 + sigma**2)
    for i, length in enumerate(LENGTHS):
        assert torch.allclose(made[i, :length], gain[i] * wav[i, :length], rtol=1e-6)


def test_its_scale_is_that_of_the_speech() -> None:
    network = tiny_diffusion().double()
    wav, lengths = batch()
    sigma, level = torch.tensor([0.1, 0.3, 1.0]).double(), torch.tensor([0.5, 1.0, 2.0]).double()
    made = network(wav, lengths, sigma, level)
    louder = network(20 * wav, lengths, 20 * sigma, 20 * level)
    assert torch.allclose(louder, 20 * made, rtol=1e-9)


def test_a_batch_equals_its_singles() -> None:
    network = tiny_diffusion().double()
    wav, lengths = batch()
    sigma, level = torch.tensor([0.1, 0.3, 1.0]).double(), torch.tensor([0.5, 1.0, 2.0]).double()
    made = network(wav, lengths, sigma, level)
    for i, n in enumerate(LENGTHS):
        one = network(wav[i : i + 1, :n], lengths[i : i + 1], sigma[i : i + 1], level[i : i + 1])
        assert torch.allclose(made[i, :n], one[0], atol=1e-12)


def test_the_level_of_noise_reaches_every_block() -> None:
    network = tiny_diffusion().double()
    wav, _ = batch()
    level = torch.ones(3).double()
    seen = network.spectrum(wav)
    mask = torch.ones(seen.shape[:2], dtype=torch.bool)
    one, _ = network._network(seen, mask, 0.1 * level)
    other, _ = network._network(seen, mask, 0.5 * level)
    assert not torch.allclose(one, other)


def test_sizes_are_checked() -> None:
    for wrong in ({"window": 15}, {"kernel": 4}, {"blocks": 0}):
        with pytest.raises(ValueError, match="sizes must be positive"):
            DiffusionConfig(**wrong)


class TestFiles:
    def test_a_round_trip_keeps_16_bits_sizes_and_card(self, tmp_path: Path) -> None:
        network, path = tiny_diffusion(), tmp_path / "a.safetensors"
        diffusion.save(path, network, {"trained_on": "hums"})
        again = diffusion.load(path)
        assert again.config == network.config
        assert again.card == {"trained_on": "hums"}
        assert not again.training
        assert not any(p.requires_grad for p in again.parameters())
        for key, value in network.state_dict().items():
            assert torch.equal(again.state_dict()[key], value.half().float()), key

    def test_a_missing_a_cut_and_a_foreign_file_say_what_they_are(self, tmp_path: Path) -> None:
        path = tmp_path / "a.safetensors"
        with pytest.raises(WeightsError, match="no such weights file"):
            diffusion.load(path)
        diffusion.save(path, tiny_diffusion(), {})
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(WeightsError, match="it is cut short"):
            diffusion.load(path)
        path.write_bytes(b"RIFF")
        with pytest.raises(WeightsError, match="not weights that melmoat wrote"):
            diffusion.load(path)
        checkpoints.save(path, tiny_melgan(), {})
        with pytest.raises(WeightsError, match=r"kind 'melgan', not 'diffusion'; `melmoat train"):
            diffusion.load(path)

    def test_other_sizes_than_the_weights_are_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "a.safetensors"
        diffusion.save(path, tiny_diffusion(), {})
        header = diffusion.weights.read_header(path)
        for change, message in (
            ({"blocks": 3}, "weights do not fit DiffusionDenoiser"),
            ({"width": 8}, "weights do not fit DiffusionDenoiser"),
            ({"window": -2}, "not a denoiser of this melmoat"),
            ({"heads": 2}, "not a denoiser of this melmoat"),
        ):
            changed = json.loads(json.dumps(header))
            changed["config"].update(change)
            monkeypatch.setattr(diffusion.weights, "read_header", lambda _, c=changed: c)
            with pytest.raises(WeightsError, match=message):
                diffusion.load(path)

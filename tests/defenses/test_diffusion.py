"""Diffusion purification: noise, reverse steps, and the gradient through them."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.defenses import DEFENSES, GaussianNoise, front_end
from melmoat.defenses.diffusion import FAINTEST, Purifier
from melmoat.denoisers import diffusion
from melmoat.draws import Draws
from melmoat.levels import loudest
from melmoat.models import DeepSpeech2
from melmoat.weights import WeightsError
from tests.defenses.tiny import tiny_diffusion

SEEDS = (5, 6, 7)


class Gaussian(nn.Module):
    """The best denoiser of white Gaussian speech whose deviation is ``share`` of its level."""

    def __init__(self, share: float = 0.5) -> None:
        super().__init__()
        self.share, self.asked = share, list[Tensor]()

    def forward(self, wav: Tensor, lengths: Tensor, sigma: Tensor, level: Tensor) -> Tensor:
        self.asked.append(sigma.detach())
        speech = (self.share * level).square()
        return wav * (speech / (speech + sigma.square()))[:, None]


def white(seconds: float = 4, batch: int = 1) -> Audio:
    torch.manual_seed(0)
    return Audio.of([0.1 * torch.randn(round(16_000 * seconds)) for _ in range(batch)])


def db(one: Tensor, other: Tensor) -> float:
    return float(20 * torch.log10(one.norm() / other.norm()))


def test_one_step_is_noise_and_one_estimate(ragged: Audio) -> None:
    network = tiny_diffusion()
    for sampler in ("ddpm", "ddim"):
        made = Purifier(network, GaussianNoise(10.0), 1, sampler)(ragged, Draws(SEEDS)).wav  # type: ignore[arg-type]
        centred = ragged.with_wav(ragged.centred)
        noisy = GaussianNoise(10.0)(centred, Draws(SEEDS)).wav
        level = loudest(centred)
        clean = network(noisy, ragged.lengths, level * 10 ** (-0.5), level)
        expected = ragged.with_wav(clean + ragged.wav - centred.wav).wav
        assert torch.allclose(made, expected, atol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_steps_fall_equally_in_db_from_the_noise_towards_the_faintest(steps: int) -> None:
    network, audio = Gaussian(), white()
    Purifier(network, GaussianNoise(10.0), steps)(audio, Draws([1]))  # type: ignore[arg-type]
    level = loudest(audio)
    snr = [float(20 * torch.log10(level / sigma)) for sigma in network.asked]
    assert snr == pytest.approx([10 + (FAINTEST - 10) * i / steps for i in range(steps)], abs=1e-2)


def test_a_fixed_level_falls_towards_the_faintest_of_each_utterance(ragged: Audio) -> None:
    network = Gaussian()
    noise = GaussianNoise(sigma=0.03)
    Purifier(network, noise, 3)(ragged, Draws(SEEDS))  # type: ignore[arg-type]
    last = loudest(ragged) * 10 ** (-FAINTEST / 20)
    for i, sigma in enumerate(network.asked):
        assert torch.allclose(sigma, 0.03 * (last / 0.03) ** (i / 3), rtol=1e-3)


def test_ddim_of_white_gaussian_speech_is_the_known_product() -> None:
    """Each step multiplies by (v + s_next s) / (v + s^2), with v the variance of the speech."""
    audio, steps = white(), 4
    noisy = GaussianNoise(5.0)(audio.with_wav(audio.centred), Draws([1])).wav
    made = Purifier(Gaussian(0.5), GaussianNoise(5.0), steps, "ddim")(audio, Draws([1])).wav  # type: ignore[arg-type]
    level = float(loudest(audio))
    speech = (0.5 * level) ** 2
    sigmas = [level * 10 ** (-(5 + 35 * i / steps) / 20) for i in range(steps)] + [0.0]
    gain = 1.0
    for sigma, following in pairwise(sigmas):
        gain *= (speech + following * sigma) / (speech + sigma**2)
    offset = float(audio.wav.mean())
    assert torch.allclose(made - offset, gain * noisy, atol=1e-5)


class Perfect(nn.Module):
    """Knows the speech."""

    def __init__(self, clean: Tensor) -> None:
        super().__init__()
        self.clean = clean

    def forward(self, wav: Tensor, lengths: Tensor, sigma: Tensor, level: Tensor) -> Tensor:
        return self.clean


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_until_leaves_noise_of_that_level(sampler: str) -> None:
    audio = white()
    level = float(loudest(audio))
    front = Purifier(
        Perfect(audio.centred),  # type: ignore[arg-type]
        GaussianNoise(0.0),
        3,
        sampler,  # type: ignore[arg-type]
        20.0,
    )
    left = front(audio, Draws([1])).wav - audio.wav
    assert db(left, left.new_full(left.shape, level)) == pytest.approx(-20, abs=0.1)
    if sampler == "ddim":  # the same noise
        drawn = Draws([1]).normal(audio.wav)
        assert torch.allclose(left, 0.1 * level * drawn, atol=1e-5)


def test_ddpm_samples_the_posterior_with_many_steps_and_ddim_keeps_the_variance() -> None:
    """Both turn white speech in noise into white speech of the right variance. One step gives the
    mean of the posterior, which has less."""
    audio = white(2, 2)
    level = float(loudest(audio)[0])
    share = float(audio.rms[0]) / level
    for sampler in ("ddpm", "ddim"):
        front = Purifier(Gaussian(share), GaussianNoise(0.0), 200, sampler)  # type: ignore[arg-type]
        assert db(front(audio, Draws([1, 2])).wav, audio.wav) == pytest.approx(0, abs=0.2)
    mean = Purifier(Gaussian(share), GaussianNoise(0.0), 1)(audio, Draws([1, 2])).wav  # type: ignore[arg-type]
    gain = share**2 / (share**2 + 1)  # of the posterior, in units of the level
    assert db(mean, audio.wav) == pytest.approx(10 * math.log10(gain), abs=0.2)


def test_only_ddpm_draws_again(ragged: Audio) -> None:
    drawn = []

    class Counting(Draws):
        def normal(self, like: Tensor) -> Tensor:
            drawn.append(len(like))
            return super().normal(like)

    for sampler, count in (("ddim", 1), ("ddpm", 3)):
        drawn.clear()
        front = Purifier(tiny_diffusion(), GaussianNoise(10.0), 3, sampler)  # type: ignore[arg-type]
        front(ragged, Counting(SEEDS))
        assert len(drawn) == count


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_saving_memory_changes_neither_samples_nor_gradient(ragged: Audio, sampler: str) -> None:
    network, results = tiny_diffusion().double(), []
    for save in (True, False):
        wav = ragged.wav.double().requires_grad_()
        front = Purifier(network, GaussianNoise(10.0), 3, sampler, None, save)  # type: ignore[arg-type]
        made = front(Audio(wav, ragged.lengths), Draws(SEEDS)).wav
        (slope,) = torch.autograd.grad((made * torch.arange(made.shape[1])).sum(), wav)
        results.append((made.detach(), slope))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.allclose(results[0][1], results[1][1], rtol=1e-12)
    assert results[0][1].any(1).all()


def test_what_is_kept_for_the_gradient_hardly_grows_with_the_steps(ragged: Audio) -> None:
    """Each further step keeps a few waveforms, not the features of the network."""

    def kept(steps: int, save: bool) -> int:
        sizes = {}

        def pack(x: Tensor) -> Tensor:
            sizes[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        wav = ragged.wav.clone().requires_grad_()
        front = Purifier(tiny_diffusion(), GaussianNoise(10.0), steps, "ddpm", None, save)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            made = front(Audio(wav, ragged.lengths), Draws(SEEDS)).wav
        assert made.requires_grad
        return sum(sizes.values())

    whole = kept(6, False) - kept(1, False)
    assert kept(6, True) - kept(1, True) < 0.2 * whole


def test_other_gradients_are_those_of_the_family(
    ragged: Audio, vocoder_files: dict[str, str]
) -> None:
    spec = "diffusion:snr=10,steps=2,weights={diffusion}".format(**vocoder_files)
    plain = front_end(spec)(ragged, Draws(SEEDS)).wav
    wav = ragged.wav.clone().requires_grad_()
    heard = front_end(f"{spec},gradient=bpda")(Audio(wav, ragged.lengths), Draws(SEEDS)).wav
    assert torch.allclose(heard, plain, atol=1e-6)
    (slope,) = torch.autograd.grad(heard.sum(), wav)
    assert torch.equal(slope, ragged.mask.float())
    heard = front_end(f"{spec},gradient=resampled")(Audio(wav, ragged.lengths), Draws(SEEDS)).wav
    (slope,) = torch.autograd.grad(heard.sum(), wav)
    forward = front_end(spec)(ragged, Draws(SEEDS).fork("forward")).wav
    assert torch.allclose(heard, forward, atol=1e-6)
    assert not torch.equal(slope, ragged.mask.float())


@pytest.mark.parametrize("rate", [16_000, 8_000, 22_050])
def test_audio_of_a_few_samples_and_of_other_rates_keeps_its_length(
    rate: int, vocoder_files: dict[str, str]
) -> None:
    front = front_end("diffusion:steps=2,weights={diffusion}".format(**vocoder_files))
    torch.manual_seed(0)
    audio = Audio.of([0.1 * torch.randn(length) for length in (1, 2, 129, 1_000)], rate)
    wav = audio.wav.requires_grad_()
    heard = front(Audio(wav, audio.lengths, rate), Draws(range(4)))
    assert heard.rate == rate
    assert heard.wav.shape == audio.wav.shape
    (slope,) = torch.autograd.grad(heard.wav.square().sum(), wav)
    assert torch.isfinite(slope).all()


def test_an_offset_is_kept_and_changes_nothing_else(vocoder_files: dict[str, str]) -> None:
    front = front_end("diffusion:snr=10,weights={diffusion}".format(**vocoder_files))
    audio = white(0.5)
    plain = front(audio, Draws([1])).wav
    shifted = front(Audio(audio.wav + 0.25, audio.lengths), Draws([1])).wav
    assert torch.allclose(shifted - 0.25, plain, atol=1e-5)


def test_a_recognizer_behind_it_shows_its_gradient(
    tiny: DeepSpeech2, ragged: Audio, vocoder_files: dict[str, str]
) -> None:
    front = front_end("diffusion:snr=10,steps=2,weights={diffusion}".format(**vocoder_files))
    wav = ragged.wav.clone().requires_grad_()
    losses = front.wrap(tiny).loss(Audio(wav, ragged.lengths), ["A", "B", "C"], Draws(SEEDS))
    (slope,) = torch.autograd.grad(losses.sum(), wav)
    assert slope.any(1).all()


def test_wrong_options_say_what_is_right(tmp_path: Path, vocoder_files: dict[str, str]) -> None:
    ours = "weights={diffusion}".format(**vocoder_files)
    for options, message in (
        ("steps=0", "steps must be at least 1"),
        ("snr=nan", "snr must be a finite number"),
        ("sigma=-1", "sigma must be a positive number"),
        ("sigma=0.1,snr=10", "leave out snr"),
        ("sampler=euler", "ddpm"),
        ("until=nan", "until must be a finite number"),
        ("snr=15,until=10", "until=10 is louder noise than snr=15"),
        ("sigma=0.01,until=10", "until is relative to the speech and sigma is not"),
    ):
        with pytest.raises(Exception, match=message):
            front_end(f"diffusion:{options},{ours}")
    with pytest.raises(WeightsError, match="no such weights file"):
        front_end(f"diffusion:weights={tmp_path / 'none.safetensors'}")


def test_a_cell_knows_it_by_the_contents_of_its_weights(tmp_path: Path) -> None:
    network = tiny_diffusion()
    diffusion.save(tmp_path / "a", network, {})
    diffusion.save(tmp_path / "b", network, {})

    def known(name: str) -> str:
        return identity(DEFENSES.parse(f"diffusion:weights={tmp_path / name}"))

    assert known("a") == known("b")
    assert str(tmp_path) not in known("a")
    network.log_profile.add_(1)
    diffusion.save(tmp_path / "c", network, {})
    assert known("a") != known("c")

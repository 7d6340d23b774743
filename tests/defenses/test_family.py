"""Invariants of every front-end, and what is known of single ones."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from melmoat import defenses
from melmoat.audio import Audio
from melmoat.channels.room import Room
from melmoat.defenses import FrontEnd, StraightThrough, front_end
from melmoat.draws import Draws
from melmoat.models import DeepSpeech2
from melmoat.spec import SpecError
from tests.defenses.tiny_codecs import SIZES

FRONT_ENDS = [
    "none",
    "wgn:snr=15",
    "wgn:snr=15,level=file",
    "resynth:vocoder={melgan}",
    "resynth:vocoder={melgan22k}",
    "resynth:vocoder={pwg}",
    "mdnf:vocoder={melgan},level=0.1,shaping=flat",
    "mdnf:vocoder={pwg},level=5,norm=utterance,shaping=flat",
    "resynth:vocoder={pwg},noise=fixed",
    "resynth:vocoder=griffin-lim:iterations=2",
    "mdnf:vocoder={melgan22k},shaping={curve},shape=variance",
    "stft:n_fft=16,hop=4",
    "stft-flood:level=0.2,n_fft=16,hop=4",
    "room:rt60=0.2",
    "downsample:rate=6000",
    "median:width=5",
    "smooth:width=5",
    "filter:high=3000",
    "filter:low=300,high=3400",
    "lpc:order=4,noise=0.3",
    "compress:power=0.6",
    "quantize:step=512",
    "mulaw:bits=5",
    "codec:kind=mp3",
    "codec:kind=opus,quality=0.2",
    "neural-codec:{encodec},quantizers=2",
    "neural-codec:{dac},gradient=soft",
    "neural-codec:{mimi},quantizers=3,gradient=bpda",
    "neural-codec:{lyra},quantizers=5",
    "denoise:dtln,weights={dtln}",
    "denoise:gtcrn,weights={gtcrn}",
    "chain:smooth:width=5,then=(wgn:snr=15)",
    "diffusion:weights={diffusion}",
    "diffusion:snr=5,steps=3,weights={diffusion}",
    "diffusion:sigma=0.05,steps=2,weights={diffusion}",
    "diffusion:steps=2,sampler=ddim,until=25,weights={diffusion}",
]
FLAT = [
    spec for spec in FRONT_ENDS if spec.startswith(("quantize", "mulaw", "codec"))
]  # zero gradients
STAND_INS = [spec for spec in FRONT_ENDS if spec.startswith("neural-codec")]  # test_neural.py
LONG_WINDOW = [spec for spec in FRONT_ENDS if "griffin-lim" in spec]  # 48 ms
SEEDS = (5, 6, 7)
ZERO_STRENGTH = {  # and what that is equal to
    "none": ("none", "none"),
    "wgn:snr=15": ("wgn:snr=300", "none"),
    "mdnf:vocoder={melgan},level=0.1,shaping=flat": (
        "mdnf:vocoder={melgan},level=0,shaping=flat",
        "resynth:vocoder={melgan}",
    ),
    "stft:n_fft=16,hop=4": ("stft:n_fft=16,hop=4", "none"),
    "median:width=5": ("median:width=1", "none"),
    "smooth:width=5": ("smooth:width=1", "none"),
    "lpc:order=4,noise=0.3": ("lpc:noise=0", "none"),
    "compress:power=0.6": ("compress:power=1", "none"),
    "stft-flood:level=0.2,n_fft=16,hop=4": ("stft-flood:level=0,n_fft=16,hop=4", "none"),
    "chain:smooth:width=5,then=(wgn:snr=15)": ("chain:none,then=none", "none"),
    "diffusion:weights={diffusion}": ("diffusion:snr=300,weights={diffusion}", "none"),
}
KEEPS_SILENCE = [
    spec for spec in FRONT_ENDS if "vocoder" not in spec and not spec.startswith("neural-codec")
]


@pytest.fixture
def build(vocoder_files: dict[str, str], codec: Callable[[str], str]) -> Callable[[str], FrontEnd]:
    def made(spec: str) -> FrontEnd:
        files = {kind: codec(kind) for kind in SIZES if f"{{{kind}}}" in spec}
        return front_end(spec.format(**vocoder_files, **files))

    return made


@pytest.fixture
def each_room_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A response depends on the draws alone: the hundreds of calls of a check share it."""
    known: dict[bytes, tuple[torch.Tensor, int]] = {}
    simulated = Room.response

    def response(room: Room, numbers: np.ndarray, rate: int) -> tuple[torch.Tensor, int]:
        key = numbers.tobytes()
        if key not in known:
            known[key] = simulated(room, numbers, rate)
        return known[key]

    monkeypatch.setattr(Room, "response", response)


def doubled(front: FrontEnd) -> FrontEnd:
    inner = front.inner if isinstance(front, StraightThrough) else front
    for part in vars(inner).values():
        if isinstance(part, nn.Module):
            part.double()
    return front


Build = Callable[[str], FrontEnd]


@pytest.mark.parametrize("spec", FRONT_ENDS)
class TestFrontEnds:
    def test_lengths_rate_and_padding_are_kept(
        self, spec: str, ragged: Audio, build: Build
    ) -> None:
        heard = build(spec)(ragged, Draws(SEEDS))
        assert heard.rate == ragged.rate
        assert torch.equal(heard.lengths, ragged.lengths)
        assert heard.wav.shape == ragged.wav.shape
        assert heard.wav[~ragged.mask].eq(0).all()

    def test_a_batch_equals_its_singles(self, spec: str, ragged: Audio, build: Build) -> None:
        heard = build(spec)(ragged, Draws(SEEDS))
        for i, wave in enumerate(ragged):
            alone = build(spec)(Audio.of([wave]), Draws(SEEDS[i : i + 1]))
            assert torch.allclose(heard.wav[i, : len(wave)], alone.wav[0], atol=1e-6)

    def test_more_padding_changes_nothing(self, spec: str, ragged: Audio, build: Build) -> None:
        padded = Audio(F.pad(ragged.wav, (0, 777)), ragged.lengths)
        heard = build(spec)(ragged, Draws(SEEDS)).wav
        more = build(spec)(padded, Draws(SEEDS)).wav
        assert more.shape == padded.wav.shape
        assert torch.allclose(more[:, : heard.shape[1]], heard, atol=1e-6)
        assert more[:, heard.shape[1] :].eq(0).all()

    def test_so_do_its_gradients(self, spec: str, ragged: Audio, build: Build) -> None:
        front = doubled(build(spec))
        weights = torch.randn(ragged.wav.shape, dtype=torch.float64)

        def slope(waves: list[torch.Tensor], seeds: Sequence[int], like: int) -> torch.Tensor:
            audio = Audio.of(waves)
            wav = audio.wav.double().requires_grad_()
            heard = front(Audio(wav, audio.lengths), Draws(seeds)).wav
            total = (heard * weights[like : like + len(waves), : heard.shape[1]]).sum()
            return torch.autograd.grad(total, wav)[0]

        together = slope(list(ragged), SEEDS, 0)
        assert torch.isfinite(together).all()
        for i, wave in enumerate(ragged):
            alone = slope([wave], SEEDS[i : i + 1], i)[0]
            assert torch.allclose(together[i, : len(wave)], alone, rtol=1e-9, atol=1e-11)

    def test_seeds_matter_if_and_only_if_stochastic(
        self, spec: str, ragged: Audio, build: Build
    ) -> None:
        front = build(spec)
        first, again = (front(ragged, Draws(SEEDS)).wav for _ in range(2))
        other = front(ragged, Draws([8, 9, 10])).wav
        assert torch.equal(first, again)
        assert torch.equal(first, other) != front.stochastic

    def test_another_device_gives_the_same(
        self, spec: str, ragged: Audio, build: Build, device: str
    ) -> None:
        front = doubled(build(spec))
        wav = ragged.wav.double().requires_grad_()
        heard = front(Audio(wav, ragged.lengths), Draws(SEEDS)).wav
        weights = torch.randn(heard.shape, dtype=torch.float64)
        (slope,) = torch.autograd.grad((heard * weights).sum(), wav)
        there = wav.detach().to(device).requires_grad_()
        other = front(Audio(there, ragged.lengths.to(device)), Draws(SEEDS)).wav
        assert other.device.type == device
        (same,) = torch.autograd.grad((other * weights.to(device)).sum(), there)
        assert torch.allclose(other.detach().cpu(), heard, atol=1e-9)
        assert (same.cpu() - slope).norm() <= 1e-8 * slope.norm()

    @pytest.mark.usefixtures("each_room_once")
    def test_the_gradient_is_exact(self, spec: str, build: Build) -> None:
        if spec in LONG_WINDOW:
            pytest.skip("the other tests of Griffin-Lim check its gradient on a small window")
        if spec in STAND_INS:
            pytest.skip("has none; test_neural.py checks what attackers get instead")
        front = doubled(build(spec))
        assert front.differentiable != (spec in FLAT)
        torch.manual_seed(0)
        wav = torch.randn(2, 30, dtype=torch.float64)
        lengths = torch.tensor([30, 20])
        mask = Audio(wav, lengths).mask

        def through(x: torch.Tensor) -> torch.Tensor:
            return front(Audio(x * mask, lengths), Draws([1, 2])).wav

        assert torch.autograd.gradcheck(through, wav.requires_grad_())


@pytest.mark.parametrize("spec", FLAT)
def test_what_has_no_gradient_shows_zero_and_bpda_the_identity(
    spec: str, ragged: Audio, build: Build
) -> None:
    for gradient, expected in (("exact", 0), ("bpda", 1)):
        wav = ragged.wav.clone().requires_grad_()
        heard = build(f"{spec},gradient={gradient}")(Audio(wav, ragged.lengths), Draws(SEEDS))
        assert not torch.equal(heard.wav, ragged.wav)
        (slope,) = torch.autograd.grad(heard.wav.sum(), wav)
        assert torch.equal(slope, expected * ragged.mask.float())


@pytest.mark.parametrize("spec", ZERO_STRENGTH)
def test_zero_strength_is_the_identity(spec: str, ragged: Audio, build: Build) -> None:
    zero, plain = ZERO_STRENGTH[spec]
    heard, expected = build(zero)(ragged, Draws(SEEDS)), build(plain)(ragged, Draws(SEEDS))
    assert torch.allclose(heard.wav, expected.wav, atol=1e-6)


@pytest.mark.parametrize("spec", KEEPS_SILENCE)
def test_silence_comes_back_silent(spec: str, build: Build) -> None:
    wav = torch.zeros(1, 1_000, requires_grad=True)
    heard = build(spec)(Audio(wav, torch.tensor([1_000])), Draws([0]))
    assert heard.quantized().wav.eq(0).all()
    (slope,) = torch.autograd.grad(heard.wav.sum(), wav)
    assert torch.isfinite(slope).all()


def test_every_defense_is_tested_here() -> None:
    assert {s.partition(":")[0] for s in FRONT_ENDS} | {"rs", "voted", "python"} == set(
        defenses.DEFENSES.table
    )


def test_noise_has_the_snr_it_says(ragged: Audio) -> None:
    long = Audio.of([w.repeat(20) for w in ragged])
    noise = front_end("wgn:snr=15")(long, Draws(SEEDS)).wav - long.wav
    snr = 10 * torch.log10(long.wav.square().sum(1) / noise.square().sum(1))
    assert torch.allclose(snr, torch.full((3,), 15.0), atol=0.1)


def weakening_db(front: FrontEnd) -> float:
    """By how much silence, or noise at -60 dB, around speech weakens what draws differ in, on the
    speech, at most."""
    torch.manual_seed(0)
    speech, long = 0.1 * torch.randn(6_400), 12_288
    waves, begins = [speech], [0]
    for size in (0.0, 1e-4):
        around = size * torch.randn(long)
        waves += [torch.cat([speech, around]), torch.cat([around, speech])]
        begins += [0, long]
    audio = Audio.of(waves)
    heard = torch.stack([front(audio, Draws([seed] * len(audio))).wav for seed in range(3)])
    middle = torch.stack([heard[:, i, b + 1_600 :][:, :3_200] for i, b in enumerate(begins)])
    alone, *others = (10 * torch.log10(middle.var(1).mean(1))).tolist()
    return float(alone - min(others))


@pytest.mark.parametrize("spec", FRONT_ENDS)
def test_silence_around_speech_does_not_weaken_its_noise(spec: str, build: Build) -> None:
    front = build(spec)
    if not front.stochastic or front.dilutes:
        pytest.skip("has no noise" if not front.stochastic else "says that it does")
    assert weakening_db(front) < 1.5


@pytest.mark.parametrize(
    "spec",
    ["wgn:snr=15,level=file", "mdnf:vocoder={melgan},level=20,norm=utterance,shaping=flat"],
)
def test_what_silence_weakens_says_so(spec: str, build: Build) -> None:
    front = build(spec)
    assert front.dilutes
    assert weakening_db(front) > 2


@pytest.mark.parametrize(
    "spec", ["wgn:snr=15", "wgn:snr=15,level=file", "stft-flood:level=0.2", "lpc:noise=0.5"]
)
def test_a_tone_with_an_offset_gets_the_noise_of_the_tone_and_keeps_its_offset(
    spec: str, build: Build
) -> None:
    tone = 0.01 * torch.sin(torch.arange(16_000) * 2 * torch.pi / 40).double()
    made = [build(spec)(Audio.of([tone + dc]), Draws([1])).wav[0] - tone for dc in (0, 0.05, -0.3)]
    assert torch.allclose(made[1] - 0.05, made[0], atol=1e-6)
    assert torch.allclose(made[2] + 0.3, made[0], atol=1e-6)


def test_noise_of_the_loudest_is_that_of_the_speech_and_of_the_file_less() -> None:
    torch.manual_seed(0)
    tone = torch.sin(torch.arange(16_000) * 0.1)
    wave = torch.cat([tone, torch.zeros(48_000)])
    for spec, expected in (("wgn:snr=15", 15.0), ("wgn:snr=15,level=file", 15 + 6.02)):
        noise = front_end(spec)(Audio.of([wave]), Draws([0])).wav[0] - wave
        assert float(-10 * torch.log10(2 * noise.square().mean())) == pytest.approx(
            expected, abs=0.1
        )


def test_smoothing_is_not_a_front_end_and_says_what_is() -> None:
    with pytest.raises(SpecError, match="its noise alone is wgn"):
        front_end("rs")


@pytest.mark.parametrize("spec", ["wgn:snr=nan", "wgn:snr=-inf", "rs:snr=nan", "wgn:snr=-1000"])
def test_a_noise_level_must_be_a_level(spec: str) -> None:
    with pytest.raises(SpecError, match="finite number of dB"):
        defenses.build(spec)


def test_smoothing_needs_a_vote() -> None:
    with pytest.raises(SpecError, match="votes must be at least 1"):
        defenses.build("rs:votes=0")


def test_no_defense_is_the_model_itself(tiny: DeepSpeech2) -> None:
    assert defenses.build("none").wrap(tiny) is tiny

"""Neural codecs: the codes are transformers' own, and each gradient is the one that it says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from melmoat import defenses
from melmoat.analysis.variants import gradients, siblings
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.defenses import DEFENSES, NeuralCodec, apply
from melmoat.defenses.neural import loading
from melmoat.defenses.neural.networks import CodecNetwork
from melmoat.defenses.neural.quantiser import Chain, Soft, Step, quantised, straight
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import hub
from melmoat.spec import SpecError
from melmoat.weights import WeightsError
from tests.defenses.tiny_codecs import CODEBOOKS, SIZES, network, save

pytest.importorskip("transformers", reason="needs the extra hf")

DRAWS = Draws([0])
COUNTS = range(1, CODEBOOKS + 1)


@pytest.fixture(scope="module")
def codecs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Specs of the tiny codecs."""
    home: Path = tmp_path_factory.mktemp("codecs")
    return {kind: f"neural-codec:{save(kind, home / kind)}" for kind in SIZES}


def built(spec: str) -> NeuralCodec:
    made = defenses.build(spec)
    assert isinstance(made, NeuralCodec)
    return made


def speech(rate: int, samples: int = 1_003) -> Audio:
    torch.manual_seed(1)
    return Audio.of([0.3 * torch.randn(samples)], rate)


def reference(kind: str, own: Any, wav: Tensor, count: int) -> Tensor:
    """What transformers' ``encode`` and ``decode`` make of ``[1, 1, L]``. Shape: ``[L]``."""
    if kind == "encodec":
        found = own.encode(wav, bandwidth=own.config.target_bandwidths[count - 1])
        assert found.audio_codes.shape[2] == count
        heard = own.decode(found.audio_codes, found.audio_scales).audio_values
    elif kind == "mimi":
        codes = own.encode(wav, num_quantizers=count).audio_codes
        assert codes.shape[1] == count
        heard = own.decode(codes).audio_values
    else:
        whole = F.pad(wav, (0, -wav.shape[-1] % own.config.hop_length))
        codes = own.encode(whole, n_quantizers=count).audio_codes
        assert codes.shape[1] == count
        heard = own.decode(audio_codes=codes).audio_values[:, None]
    return heard[0, 0, : wav.shape[-1]]


def slope(front: defenses.FrontEnd, audio: Audio) -> tuple[Tensor, Tensor]:
    """The defended audio, and the gradient of a projection of it."""
    wav = audio.wav.clone().requires_grad_()
    heard = front(Audio(wav, audio.lengths, audio.rate), Draws(range(len(audio)))).wav
    weights = torch.randn(heard.shape, generator=torch.Generator().manual_seed(2)).to(heard)
    return heard.detach(), torch.autograd.grad((heard * weights).sum(), wav)[0]


@pytest.mark.parametrize("kind", SIZES)
class TestEveryCodec:
    def test_the_codes_are_those_of_transformers(self, kind: str, codecs: dict[str, str]) -> None:
        audio = speech(SIZES[kind][1]["sampling_rate"])
        own, found = network(kind), []
        for count in COUNTS:
            for gradient in ("straight", "soft", "bpda"):
                made = defenses.front_end(f"{codecs[kind]},quantizers={count},gradient={gradient}")
                heard, _ = slope(made, audio)
                expected = reference(kind, own, audio.wav[:, None], count)
                assert torch.allclose(heard[0, : len(expected)], expected, atol=1e-6)
            found.append(heard)
        assert all(not torch.allclose(a, b, atol=1e-4) for a, b in zip(found, found[1:]))

    def test_straight_through_takes_each_code_as_its_input(
        self, kind: str, codecs: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = built(f"{codecs[kind]},quantizers=2")
        made.codec.double()
        audio = speech(made.codec.rate, 300)
        audio = audio.with_wav(audio.wav.double())
        latents = made.codec.encode(audio.wav[:, None]).detach().requires_grad_()
        weights = torch.randn_like(latents)

        def gradient(quantiser: Any) -> Tensor:
            return torch.autograd.grad((quantiser() * weights).sum(), latents)[0]

        def unquantised() -> Tensor:
            total = torch.zeros_like(latents)
            for chain in made.codec.chains(2):
                left, found = chain.into(latents), 0.0
                for step in chain.steps:
                    coded = step.out(step.into(left))
                    left, found = left - coded, found + coded
                total = total + chain.out(found)
            return total

        def ours() -> Tensor:
            return quantised(latents, made.codec.chains(2), straight)

        assert not torch.allclose(ours(), unquantised(), rtol=1e-3)
        assert torch.allclose(gradient(ours), gradient(unquantised))
        if kind == "encodec":  # the whole quantiser counts as the identity
            assert torch.allclose(gradient(ours), weights)

    def test_soft_takes_it_as_the_soft_assignment(self, kind: str, codecs: dict[str, str]) -> None:
        made = built(codecs[kind])
        chain = made.codec.double().chains(made.codec.fewest)[0]
        (step,) = chain.steps
        soft = Soft(0.5)
        residual = torch.randn(1, *_width(made, chain), 7, dtype=torch.float64, requires_grad=True)
        weights = torch.randn_like(residual)

        def assigned() -> Tensor:
            vectors = step.into(residual)[0].T
            codes, sizes = step.codes, vectors
            if kind == "dac":
                codes, sizes = F.normalize(codes), F.normalize(vectors)
            far = torch.stack([(sizes - code).square().sum(1) for code in codes], 1)
            share = torch.softmax(-far / (0.5 * far.std(1, correction=0, keepdim=True).detach()), 1)
            return step.out((share @ step.codes).T[None])

        (expected,) = torch.autograd.grad((assigned() * weights).sum(), residual)
        ours = quantised(residual, [Chain([step], torch.nn.Identity(), torch.nn.Identity())], soft)
        (found,) = torch.autograd.grad((ours * weights).sum(), residual)
        assert torch.allclose(found, expected, rtol=1e-9)
        assert found.abs().max() > 0

    def test_a_colder_soft_assignment_is_nearer_to_the_codes(
        self, kind: str, codecs: dict[str, str]
    ) -> None:
        made = built(codecs[kind])
        step = made.codec.chains(made.codec.fewest)[0].steps[0]
        vectors = SCALES[kind] * torch.randn(50, step.codes.shape[1])
        hard = step.codes[step.nearest(vectors)]
        errors = [float((Soft(t)(step, vectors) - hard).square().mean()) for t in (1, 0.3, 0.01)]
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 0.1 * errors[0]

    def test_silence_and_short_audio_have_finite_gradients(
        self, kind: str, codecs: dict[str, str]
    ) -> None:
        for gradient in ("straight", "soft"):
            made = built(f"{codecs[kind]},gradient={gradient}")
            for wave in (torch.zeros(500), torch.zeros(1), torch.tensor([0.2]), torch.rand(3)):
                heard, found = slope(made, Audio.of([wave]))
                assert heard.shape == (1, len(wave))
                assert torch.isfinite(heard).all()
                assert torch.isfinite(found).all()

    def test_weights_are_frozen_and_nothing_is_trained(
        self, kind: str, codecs: dict[str, str]
    ) -> None:
        codec = built(codecs[kind]).codec
        assert not codec.training
        assert not any(weight.requires_grad for weight in codec.parameters())

    def test_the_number_of_codebooks_has_a_range(self, kind: str, codecs: dict[str, str]) -> None:
        assert built(codecs[kind]).quantizers == CODEBOOKS
        for wrong in (0, CODEBOOKS + 1):
            with pytest.raises(SpecError, match=f"between 1 and {CODEBOOKS} for this codec"):
                defenses.build(f"{codecs[kind]},quantizers={wrong}")


SCALES = {"encodec": 0.1, "dac": 0.1, "mimi": 1.0}


def _width(made: NeuralCodec, chain: Chain) -> tuple[int]:
    """Dimensions of a chain's residual."""
    latents = made.codec.encode(torch.zeros(1, 1, 500, dtype=torch.float64))
    return (chain.into(latents).shape[1],)

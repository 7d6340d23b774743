"""Neural codecs: the codes are transformers' own, and each gradient is the one that it says."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat import defenses, detectors
from melmoat.analysis.audit import audit
from melmoat.analysis.variants import gradients, siblings
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.checking.defense import check_defense
from melmoat.defenses import DEFENSES, FrontEnd, NeuralCodec, front_end
from melmoat.defenses.neural.quantiser import Chain, Soft, quantised, straight
from melmoat.draws import Draws
from melmoat.errors import MelmoatError
from melmoat.models import DeepSpeech2
from melmoat.spec import SpecError
from melmoat.standard.levels import Level
from melmoat.standard.members import QUICK, Ensemble
from melmoat.standard.subject import subject
from melmoat.weights import WeightsError
from tests.bench.hand_made import run
from tests.defenses.tiny_codecs import CODEBOOKS, SCALE, SIZES, network
from tests.models.tokens import far_hub

pytest.importorskip("transformers", reason="needs the extra hf")

COUNTS = range(1, CODEBOOKS + 1)


@pytest.fixture
def codecs(codec: Callable[[str], str]) -> Mapping[str, str]:
    """Specs of the tiny codecs."""
    return {kind: f"neural-codec:{codec(kind)}" for kind in SIZES}


def built(spec: str) -> NeuralCodec:
    made = defenses.build(spec)
    assert isinstance(made, NeuralCodec)
    return made


def speech(rate: int, samples: int = 1_203) -> Audio:
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


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(2)


def slope(front: FrontEnd, audio: Audio) -> tuple[Tensor, Tensor]:
    """The defended audio, and the gradient of a projection of it."""
    wav = audio.wav.clone().requires_grad_()
    heard = front(Audio(wav, audio.lengths, audio.rate), Draws(range(len(audio)))).wav
    weights = torch.randn(heard.shape, generator=_seeded()).to(heard)
    return heard.detach(), torch.autograd.grad((heard * weights).sum(), wav)[0]


@pytest.mark.parametrize("kind", SIZES)
class TestEveryCodec:
    def test_the_codes_are_those_of_transformers(
        self, kind: str, codecs: Mapping[str, str]
    ) -> None:
        own, found = network(kind), []
        audio = speech(own.config.sampling_rate)
        for count in COUNTS:
            made = front_end(f"{codecs[kind]},quantizers={count}")
            found.append(made(audio, Draws([0])).wav[0])
            expected = reference(kind, own, audio.wav[:, None], count)
            assert torch.allclose(found[-1], expected, atol=1e-6)
        assert all(not torch.allclose(a, b, atol=1e-4) for a, b in pairwise(found))
        for gradient in ("straight", "soft", "bpda"):  # of the backward pass only
            heard, _ = slope(front_end(f"{codecs[kind]},gradient={gradient}"), audio)
            assert torch.allclose(heard[0], found[-1], atol=1e-6)

    def test_each_gradient_is_another_one(self, kind: str, codecs: Mapping[str, str]) -> None:
        audio = speech(16_000)
        made = [front_end(f"{codecs[kind]},gradient={g}") for g in ("straight", "soft", "bpda")]
        _, hard = slope(made[0], audio)
        _, soft = slope(made[1], audio)
        _, plain = slope(made[2], audio)
        assert hard.abs().max() > 0
        assert not torch.allclose(hard, soft, rtol=1e-2)
        assert torch.equal(plain[0], torch.randn(plain.shape, generator=_seeded())[0])

    def test_straight_through_takes_each_code_as_its_input(
        self, kind: str, codecs: Mapping[str, str]
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

    def test_soft_takes_it_as_the_soft_assignment(
        self, kind: str, codecs: Mapping[str, str]
    ) -> None:
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
        ours = quantised(residual, [Chain([step], nn.Identity(), nn.Identity())], soft)
        (found,) = torch.autograd.grad((ours * weights).sum(), residual)
        assert torch.allclose(found, expected, rtol=1e-9)
        assert found.abs().max() > 0

    def test_a_colder_soft_assignment_is_nearer_to_the_codes(
        self, kind: str, codecs: Mapping[str, str]
    ) -> None:
        made = built(codecs[kind])
        step = made.codec.chains(made.codec.fewest)[0].steps[0]
        vectors = SCALE[kind] * torch.randn(50, step.codes.shape[1])
        hard = step.codes[step.nearest(vectors)]
        errors = [float((Soft(t)(step, vectors) - hard).square().mean()) for t in (1, 0.3, 0.01)]
        assert errors[0] > errors[1] > errors[2]
        assert errors[2] < 0.1 * errors[0]

    def test_silence_and_short_audio_have_finite_gradients(
        self, kind: str, codecs: Mapping[str, str]
    ) -> None:
        for gradient in ("straight", "soft"):
            made = built(f"{codecs[kind]},gradient={gradient}")
            for wave in (torch.zeros(500), torch.zeros(1), torch.tensor([0.2]), torch.rand(3)):
                heard, found = slope(made, Audio.of([wave]))
                assert heard.shape == (1, len(wave))
                assert torch.isfinite(heard).all()
                assert torch.isfinite(found).all()

    def test_weights_are_frozen_and_nothing_is_trained(
        self, kind: str, codecs: Mapping[str, str]
    ) -> None:
        codec = built(codecs[kind]).codec
        assert not codec.training
        assert not any(weight.requires_grad for weight in codec.parameters())

    def test_the_number_of_codebooks_has_a_range(
        self, kind: str, codecs: Mapping[str, str]
    ) -> None:
        assert built(codecs[kind]).quantizers == CODEBOOKS
        for wrong in (0, CODEBOOKS + 1):
            with pytest.raises(SpecError, match=f"between 1 and {CODEBOOKS} for this codec"):
                defenses.build(f"{codecs[kind]},quantizers={wrong}")


def _width(made: NeuralCodec, chain: Chain) -> tuple[int]:
    """Dimensions of a chain's residual."""
    latents = made.codec.encode(torch.zeros(1, 1, 500, dtype=torch.float64))
    return (chain.into(latents).shape[1],)


@pytest.mark.parametrize("kind", ["encodec", "mimi"])
def test_more_codebooks_are_nearer_to_what_was_encoded(
    kind: str, codecs: Mapping[str, str]
) -> None:
    """Each codebook has the zero vector, so that what is left never grows."""
    codec = built(codecs[kind]).codec
    latents = codec.encode(speech(codec.rate, 2_000).wav[:, None])
    chain = codec.chains(CODEBOOKS)[-1]
    inner = chain.into(latents)
    coded = [
        quantised(inner, [Chain(chain.steps[:n], nn.Identity(), nn.Identity())], straight)
        for n in range(len(chain.steps) + 1)
    ]
    errors = [float((inner - found).square().mean()) for found in coded]
    assert all(more > less for more, less in pairwise(errors))


def test_dac_has_its_own_straight_through_gradient(codecs: Mapping[str, str]) -> None:
    """transformers trains it with one."""
    own, made = network("dac").double(), built(f"{codecs['dac']},quantizers=3")
    made.codec.double()
    wav = speech(16_000, 398).wav.double().requires_grad_()
    weights = torch.randn(398, dtype=torch.float64)
    whole = F.pad(wav[None], (0, 2))
    theirs = own.decode(own.encode(whole, n_quantizers=3).quantized_representation)
    expected, found = (
        torch.autograd.grad((heard * weights).sum(), wav)[0]
        for heard in (theirs.audio_values[0], made.codec(wav[0], 3, straight))
    )
    assert torch.allclose(found, expected, rtol=1e-9, atol=0)
    assert found.abs().max() > 1e-6


def test_whole_frames_of_dac_come_back_whole(codecs: Mapping[str, str]) -> None:
    """Its odd strides lose samples at the end, which another frame covers."""
    codec, waves = built(codecs["dac"]).codec, speech(16_000, 400).wav
    assert network("dac")(waves[None]).audio_values.shape[-1] == 398
    assert len(codec(waves[0], 1, straight)) == 400


def test_a_temperature_is_above_zero(codecs: Mapping[str, str]) -> None:
    for wrong in ("0", "-1", "nan", "inf"):
        with pytest.raises(SpecError, match="temperature must be above 0"):
            defenses.build(f"{codecs['dac']},temperature={wrong}")


class TestWhatAttackersAreTold:
    """Its gradient is a stand-in: nothing takes it for an exact one."""

    def test_what_it_declares(self, codecs: Mapping[str, str]) -> None:
        made = built(codecs["encodec"])
        assert not made.stochastic
        assert not made.differentiable
        assert defenses.approximates(made)
        assert not defenses.approximates(defenses.build("quantize"))
        assert not defenses.approximates(defenses.build("rs"))

    def test_the_standard_follows_it_and_tries_the_others(self, codecs: Mapping[str, str]) -> None:
        spec = codecs["dac"]
        one = subject("ds2-an4", spec, "demo")
        assert list(one.variants) == ["bpda", "soft"]
        ensemble = Ensemble(one, QUICK, False)
        assert ensemble.attacked == one.defense == spec
        found = {m.name: m.cell for m in ensemble.other_gradients(Level("l2", 30.0), 1)}
        assert found["soft"].defense == f"{spec},gradient=soft"
        assert found["bpda"].defense == f"{spec},gradient=bpda"
        assert {m.role for m in ensemble.other_gradients(Level("l2", 30.0), 1)[:2]} == {"gradient"}
        soft = subject("ds2-an4", f"{spec},gradient=soft", "demo")
        assert soft.variants == {"bpda": f"{spec},gradient=bpda", "straight": spec}

    def test_siblings_have_one_defense(self, codecs: Mapping[str, str]) -> None:
        plain = f"{codecs['dac']},quantizers=2"
        found = gradients(plain)
        assert list(found) == ["straight", "soft", "bpda"]
        for kind, spec in found.items():
            assert siblings(spec) == (kind, plain)
        assert siblings(f"{plain},gradient=soft,temperature=0.5") == ("soft", plain)

    def test_the_audit_wants_every_stand_in_and_believes_the_worst(
        self, codecs: Mapping[str, str]
    ) -> None:
        spec, attack = codecs["dac"], "pgd:db=20"

        def status(*rates: float, check: str = "exact gradient") -> str:
            runs = zip(gradients(spec).values(), rates, strict=False)
            rows = audit([one for name, rate in runs for one in run(name, {attack: rate})])
            return next(f.status for f in rows[0].findings if f.check == check)

        (row,) = audit(run(spec, {attack: 60.0}))
        wanted = {(f"{spec},gradient={kind}", attack) for kind in ("soft", "bpda")}
        assert wanted <= set(row.wanted)
        assert status(60.0) == "missing"
        assert status(60.0, 20.0) == "missing"
        assert status(60.0, 20.0, 20.0) == "ok"
        assert status(60.0, 90.0, 20.0) == "sign"
        assert status(60.0, 20.0, 90.0) == "sign"
        assert status(60.0, 20.0, 20.0, check="weaker attackers") == "ok"
        assert status(60.0, 90.0, 20.0, check="weaker attackers") == "sign"

    def test_a_detector_can_be_evaded_through_it(
        self, codecs: Mapping[str, str], tiny: DeepSpeech2
    ) -> None:
        made = detectors.build(f"disagreement:({codecs['dac']})")
        wav = speech(16_000, 4_000).wav.requires_grad_()
        loss = made.evasion(tiny, Audio.of(list(wav)), Draws([0]), ["A"])
        assert torch.autograd.grad(loss.sum(), wav)[0].abs().max() > 0

    def test_a_check_calls_it_a_stand_in(
        self, codecs: Mapping[str, str], tiny: DeepSpeech2
    ) -> None:
        found = {line.check: line for line in check_defense(built(codecs["dac"]), tiny)}
        assert found["gradient"].status == "ok"
        assert "only a stand-in" in found["gradient"].text


def test_the_identity_is_that_of_the_weights(codec: Callable[[str], str], tmp_path: Path) -> None:
    shutil.copytree(codec("dac"), tmp_path / "copy")
    first, copy = (DEFENSES.parse(f"neural-codec:{x}") for x in (codec("dac"), tmp_path / "copy"))
    assert identity(first) == identity(copy)
    weights = tmp_path / "copy" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + bytes(4))
    assert identity(first) != identity(copy)
    sha = "1" * 40
    named = DEFENSES.parse(f"neural-codec:kyutai/mimi,quantizers=8,revision={sha}")
    assert identity(named) == f"neural-codec:quantizers=8@kyutai/mimi@{sha}"


def test_a_hub_name_downloads_what_is_read(
    codec: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    place = tmp_path / ("1" * 40)
    place.mkdir()

    def download(name: str, allow_patterns: list[str], **options: object) -> str:
        assert name == "owner/codec"
        for file in Path(codec("mimi")).iterdir():
            if any(fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, place)
        return str(place)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    audio = speech(16_000)
    names = ("owner/codec", codec("mimi"))
    heard = [front_end(f"neural-codec:{name}")(audio, Draws([0])) for name in names]
    assert torch.equal(heard[0].wav, heard[1].wav)


def refused(name: str | Path, match: str) -> None:
    with pytest.raises(WeightsError, match=match):
        defenses.build(f"neural-codec:{name}")


class TestErrors:
    def test_a_missing_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "transformers", None)
        with pytest.raises(MelmoatError, match=r'a neural codec needs .*"melmoat\[hf\]"'):
            defenses.build("neural-codec:kyutai/mimi")

    def test_no_network(self, monkeypatch: pytest.MonkeyPatch) -> None:
        far_hub(monkeypatch)
        refused("kyutai/mimi", r"run `hf download kyutai/mimi .* and give neural-codec:FOLDER")

    def test_no_folder(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for name in ("./none", "a/b/c", tmp_path / "file"):
            refused(name, "no such folder; neural-codec takes a folder that save_pretrained wrote")

    @pytest.mark.parametrize(
        ("changes", "match"),
        [
            ({"model_type": "wav2vec2"}, "a wav2vec2 model; neural-codec takes lyra, and EnCodec"),
            ({"model_type": None}, "a config.json that says its model; neural-codec takes"),
            ({"audio_channels": 2}, "for 2 channels, and speech here has one; take a mono model"),
            ({"normalize": True}, "take a model without normalize and chunk_length_s"),
            ({"chunk_length_s": 1.0, "overlap": 0.01}, "cuts its input into pieces"),
            ({"num_filters": 8}, "have other sizes than its config.json says"),
            ({"num_residual_layers": 2}, "is not whole|other sizes"),
            ({"upsampling_ratios": "two"}, "it cannot be read .*; save it anew"),
        ],
    )
    def test_a_codec_that_does_not_fit(
        self, changes: dict[str, Any], match: str, codec: Callable[[str], str], tmp_path: Path
    ) -> None:
        folder = shutil.copytree(codec("encodec"), tmp_path / "codec")
        settings = json.loads((folder / "config.json").read_text()) | changes
        (folder / "config.json").write_text(json.dumps(settings))
        refused(folder, match)

    def test_weights_that_are_not_there(self, codec: Callable[[str], str], tmp_path: Path) -> None:
        folder = shutil.copytree(codec("dac"), tmp_path / "codec")
        weights = folder / "model.safetensors"
        weights.write_text("version https://git-lfs.github.com/spec/v1\n")
        refused(folder, "git lfs pull")
        weights.unlink()
        refused(folder, "no model.safetensors beside its config.json")
        (folder / "config.json").unlink()
        refused(folder, "a config.json that says its model")

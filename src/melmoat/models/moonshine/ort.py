"""Moonshine's weights in the two files of onnxruntime that the package ``moonshine-voice`` carries.

They are graphs with 8-bit matrices. A node that multiplies by one is named after the layer that it
was; its inputs name the matrix, which is stored inputs by outputs. What stays 32-bit has its own
name. Only the files of one release are known, by their SHA-256.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from melmoat import files
from melmoat.errors import extra
from melmoat.weights import WeightsError

VERSION = "0.0.49"
ENCODER, DECODER, TOKENS = "encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin"
SHA256 = {
    ENCODER: "94e90a4654fc45cdfedb77c4c08e1739f48862998e58fada384b25118134f221",
    DECODER: "cf524c4862d36e9e5ab032eddc73637efd822d70e868ac575cf1a46e1e4708a0",
    TOKENS: "6884b35fd6377d4c4d32336a0bc152f36b64d1e45b6503683cdc238250a8472d",
}
EMBEDDINGS = "model.decoder.embed_tokens.weight"
PRODUCTS = ("MatMulIntegerToFloat", "DynamicQuantizeMatMul")
MATRIX = "_quantized"  # how the name of one ends
UNNAMED = {"onnx::Mul_2080": "groupnorm.weight", "onnx::Add_2081": "groupnorm.bias"}
FLOAT = 1  # TensorDataType


def read(path: Path) -> bytes:
    """One of the three files.

    Raises:
        WeightsError: missing, cut, or any other file than that of the release.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; moonshine-voice {VERSION} has it")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != SHA256[path.name]:
        reason = files.obstacle(path) or (
            f"not the file of moonshine-voice {VERSION} (another SHA-256): it is of another model "
            "or release, or damaged"
        )
        raise WeightsError(f'{path}: {reason}; pip install "melmoat[moonshine]" brings the file')
    return data


def state(folder: Path) -> dict[str, Tensor]:
    """The weights under transformers' names, as 32-bit floats.

    Raises:
        MelmoatError: onnxruntime, which knows how such files are laid out, is not installed.
        WeightsError: as :func:`read`.
    """
    encoder, decoder = _weights(folder / ENCODER), _weights(folder / DECODER)
    embeddings = {"proj_out.weight": decoder[EMBEDDINGS]}
    return {f"model.encoder.{key}": value for key, value in encoder.items()} | decoder | embeddings


def tokens(folder: Path) -> list[bytes]:
    """Each token's bytes.

    Before each stands its length; one of 128 or more takes two bytes, the lower seven bits first.
    """
    data, at, found = read(folder / TOKENS), 0, []
    while at < len(data):
        size, at = data[at], at + 1
        if size >= 128:
            size, at = data[at] * 128 + size - 128, at + 1
        found.append(data[at : at + size])
        at += size
    return found


def _weights(path: Path) -> dict[str, Tensor]:
    stored: dict[str, Any] = {}
    products: dict[str, str] = {}  # the matrix of each, by what it makes
    for graph in _graphs(_session(read(path)).Model().Graph()):
        found = ((_text(tensor.Name()), tensor) for tensor in _each(graph, "Initializers"))
        stored |= {name: tensor for name, tensor in found if tensor.RawDataLength()}
        for node in _each(graph, "Nodes"):
            if _text(node.OpType()) in PRODUCTS:
                inputs = [_text(node.Inputs(i)) for i in range(node.InputsLength())]
                (matrix,) = (x for x in inputs if x.startswith("onnx::") and x.endswith(MATRIX))
                products[_text(node.Outputs(0))] = matrix.removesuffix(MATRIX)
    state = {
        plain: _values(tensor).view(-1) if name in UNNAMED else _values(tensor)
        for name, tensor in stored.items()
        if (plain := _plain(name)).endswith((".weight", ".bias"))
    }
    for output, matrix in products.items():
        layer, _, _ = output.removeprefix("/").rpartition("/")
        if layer:  # the last product, to the vocabulary, is by the embeddings
            state[f"{layer.replace('/', '.')}.weight"] = _matrix(stored, matrix).T.contiguous()
    if EMBEDDINGS + MATRIX in map(_plain, stored):
        state[EMBEDDINGS] = _matrix(stored, f"{EMBEDDINGS}_merged_0")
    return state


def _plain(name: str) -> str:
    """A weight's name without what optimisers of graphs wrote behind it."""
    return UNNAMED.get(name, re.sub("_merged_0|_add_tensor", "", name))


def _session(data: bytes) -> Any:
    with extra("moonshine", "moonshine:ort:"):
        from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs import InferenceSession
    return InferenceSession.InferenceSession.GetRootAs(data, 0)


def _graphs(graph: Any) -> Iterator[Any]:
    """``graph`` and those inside its nodes: the decoder has one for the first token."""
    yield graph
    for node in _each(graph, "Nodes"):
        for attribute in _each(node, "Attributes"):
            if (inner := attribute.G()) is not None:
                yield from _graphs(inner)


def _each(holder: Any, kind: str) -> Iterator[Any]:
    return map(getattr(holder, kind), range(getattr(holder, f"{kind}Length")()))


def _text(data: bytes) -> str:
    return data.decode()


def _values(tensor: Any) -> Tensor:
    kind = torch.float32 if tensor.DataType() == FLOAT else torch.uint8
    values = torch.frombuffer(bytearray(tensor.RawDataAsNumpy()), dtype=kind)
    return values.view([tensor.Dims(i) for i in range(tensor.DimsLength())])


def _matrix(stored: dict[str, Any], name: str) -> Tensor:
    """What an 8-bit matrix stands for: ``(q - zero) * scale``."""
    q, zero, scale = (_values(stored[name + x]) for x in (MATRIX, "_zero_point", "_scale"))
    return (q.float() - zero.float()) * scale

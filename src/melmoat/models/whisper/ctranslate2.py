"""Whisper weights in CTranslate2's ``model.bin``, under transformers' names.

The file has: version (u32), name, revision (u32), count (u32); for each variable its name, rank
(u8), sizes (u32 each), type (u8), bytes (u32) and data; then aliases. A string is its length (u16)
and its bytes with a zero at the end. Little-endian throughout.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melmoat.weights import WeightsError

VERSION = 6
TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
BFLOAT16 = 5  # which NumPy does not have
CONVERT = "convert the model with --quantization float16 or float32"


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = memoryview(data), 0

    def number(self, kind: str) -> int:
        (value,) = struct.unpack_from(f"<{kind}", self.data, self.at)
        self.at += struct.calcsize(kind)
        return int(value)

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise ValueError("it ends too early")
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self) -> str:
        return bytes(self.take(self.number("H"))).rstrip(b"\0").decode()


def variables(parts: Sequence[Path]) -> dict[str, Tensor]:
    """Every variable of a ``model.bin``, which may lie in several parts.

    Raises:
        WeightsError: missing, not such a file, another version, not Whisper, 8-bit or bfloat16.
    """
    where = " + ".join(map(str, parts))
    try:
        reader = _Reader(b"".join(part.read_bytes() for part in parts))
        version, name, _ = reader.number("I"), reader.text(), reader.number("I")
        if version != VERSION or name != "WhisperSpec":
            raise WeightsError(
                f"{where}: a {name or 'nameless'} of version {version}; a WhisperSpec of version "
                f"{VERSION} is expected, as ct2-transformers-converter writes it"
            )
        tensors = {}
        for _ in range(reader.number("I")):
            key, rank = reader.text(), reader.number("B")
            sizes = [reader.number("I") for _ in range(rank)]
            kind = reader.number("B")
            if kind == BFLOAT16:
                raise WeightsError(f"{where}: bfloat16 weights; {CONVERT}")
            raw = np.frombuffer(reader.take(reader.number("I")), TYPES[kind])
            tensors[key] = torch.from_numpy(raw.reshape(sizes).copy())
    except OSError as error:
        raise WeightsError(f"{where}: cannot be read ({error})") from error
    except (KeyError, UnicodeDecodeError, ValueError, struct.error) as error:
        raise WeightsError(f"{where}: not a whole CTranslate2 model.bin ({error})") from error
    if any(key.endswith("/weight_scale") for key in tensors):
        raise WeightsError(f"{where}: 8-bit weights; {CONVERT}")
    return tensors


def sizes(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The sizes of these weights for transformers' ``WhisperConfig``."""
    vocabulary, width = tensors["decoder/embeddings/weight"].shape
    layers = {
        side: len({key.split("/")[1] for key in tensors if key.startswith(f"{side}/layer_")})
        - 1  # layer_norm
        for side in ("encoder", "decoder")
    }
    settings: dict[str, Any] = {"vocab_size": vocabulary, "d_model": width}
    for side, count in layers.items():
        settings[f"{side}_layers"] = count
        settings[f"{side}_attention_heads"] = int(tensors[f"{side}/num_heads"])
        settings[f"{side}_ffn_dim"] = tensors[f"{side}/layer_0/ffn/linear_0/weight"].shape[0]
    settings["num_mel_bins"] = tensors["encoder/conv1/weight"].shape[1]
    settings["max_source_positions"] = tensors["encoder/position_encodings/encodings"].shape[0]
    settings["max_target_positions"] = tensors["decoder/position_encodings/encodings"].shape[0]
    return settings


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under transformers' names, as 32-bit floats.

    Stacked projections are split: queries, keys and values of self-attention, keys and values of
    cross-attention. Keys have no bias; the values in its place are zero.
    """
    state: dict[str, Tensor] = {}

    def put(name: str, key: str) -> None:
        for ours, theirs in _PARTS:
            if f"{key}/{theirs}" in tensors:
                state[f"{name}.{ours}"] = tensors[f"{key}/{theirs}"].float()

    def attention(name: str, key: str, stacks: Sequence[Sequence[str]]) -> None:
        for n, projections in enumerate(stacks):
            weight, bias = (tensors[f"{key}/linear_{n}/{x}"].float() for x in ("weight", "bias"))
            size = len(weight) // len(projections)
            for i, projection in enumerate(projections):
                rows = slice(i * size, (i + 1) * size)
                state[f"{name}.{projection}_proj.weight"] = weight[rows].clone()
                if projection != "k":
                    state[f"{name}.{projection}_proj.bias"] = bias[rows].clone()

    for side in ("encoder", "decoder"):
        top = f"model.{side}"
        put(f"{top}.layer_norm", f"{side}/layer_norm")
        state[f"{top}.embed_positions.weight"] = tensors[
            f"{side}/position_encodings/encodings"
        ].float()
        for i in range(sizes(tensors)[f"{side}_layers"]):
            layer, key = f"{top}.layers.{i}", f"{side}/layer_{i}"
            attention(f"{layer}.self_attn", f"{key}/self_attention", ("qkv", ("out",)))
            put(f"{layer}.self_attn_layer_norm", f"{key}/self_attention/layer_norm")
            if side == "decoder":
                attention(f"{layer}.encoder_attn", f"{key}/attention", ("q", "kv", ("out",)))
                put(f"{layer}.encoder_attn_layer_norm", f"{key}/attention/layer_norm")
            put(f"{layer}.fc1", f"{key}/ffn/linear_0")
            put(f"{layer}.fc2", f"{key}/ffn/linear_1")
            put(f"{layer}.final_layer_norm", f"{key}/ffn/layer_norm")
    put("model.encoder.conv1", "encoder/conv1")
    put("model.encoder.conv2", "encoder/conv2")
    put("model.decoder.embed_tokens", "decoder/embeddings")
    return state


_PARTS = (("weight", "weight"), ("bias", "bias"), ("weight", "gamma"), ("bias", "beta"))

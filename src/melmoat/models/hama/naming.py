"""The weights of hama's files under the names of the modules here.

Exporting folded batch norm into convolutions and left those, and the matrices of linear layers,
without names: ``onnx::Conv_801`` and so on, in the order in which the network uses them. Such
matrices are inputs by outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

State = dict[str, Tensor]

NORM = ("weight", "bias")


def _nameless(found: Mapping[str, Tensor], kind: str) -> Iterator[Tensor]:
    keys = [key for key in found if key.startswith(f"onnx::{kind}_")]
    return iter([found[key] for key in sorted(keys, key=lambda key: int(key.rpartition("_")[2]))])


def _spectrum(found: Mapping[str, Tensor]) -> State:
    return {
        "spectrum.cosine": found["stft_real_kernel"][:, 0],
        "spectrum.sine": found["stft_imag_kernel"][:, 0],
        "spectrum.filters": found["mel_fb"],
    }


def _head(found: Mapping[str, Tensor]) -> State:
    """The last layer, its last symbol, which is the blank, first."""
    return {
        f"network.head.{part}": found[f"acoustic_model.model.proj.{part}"].roll(1, 0).squeeze(-1)
        for part in NORM
    }


def conformer(found: Mapping[str, Tensor], blocks: int) -> State:
    """The state of a recognizer with a ``Conformer``.

    Raises:
        KeyError: a weight is missing.
        StopIteration: a nameless one is.
    """
    convolutions, matrices = _nameless(found, "Conv"), _nameless(found, "MatMul")
    state = {**_spectrum(found), **_head(found)}
    for part in NORM:
        state[f"network.stem.conv.{part}"] = next(convolutions)
    for i in range(blocks):
        theirs, ours = f"acoustic_model.model.blocks.{i}", f"network.blocks.{i}"

        def linear(name: str, bias: str, theirs: str = theirs, ours: str = ours) -> None:
            state[f"{ours}.{name}.weight"] = next(matrices).T
            state[f"{ours}.{name}.bias"] = found[f"{theirs}.{bias}"]

        linear("first.into", "ffn1.fc1.bias")
        linear("first.out", "ffn1.fc2.bias")
        linear("attention.into", "attn.in_proj_bias")
        linear("attention.out", "attn.out_proj.bias")
        linear("second.into", "ffn2.fc1.bias")
        linear("second.out", "ffn2.fc2.bias")
        for part in NORM:
            state[f"{ours}.convolution.depthwise.{part}"] = next(convolutions)
            for name, key in _CONFORMER:
                state[f"{ours}.{name}.{part}"] = found[f"{theirs}.{key}.{part}"].squeeze(-1)
    return state


_CONFORMER = (
    ("first.norm", "ffn1.norm"),
    ("attention_norm", "attn_norm"),
    ("convolution.norm", "conv.norm"),
    ("convolution.into", "conv.pointwise1"),
    ("convolution.out", "conv.pointwise2"),
    ("second.norm", "ffn2.norm"),
    ("norm", "norm"),
)


def se_cnn(found: Mapping[str, Tensor], blocks: int, layers: int) -> State:
    """The state of a recognizer with a ``SECNN``; errors as of :func:`conformer`."""
    convolutions, matrices = _nameless(found, "Conv"), _nameless(found, "MatMul")
    state = {**_spectrum(found), **_head(found)}
    for part in NORM:
        state[f"network.stem.conv.{part}"] = next(convolutions)
    for i in range(blocks):
        theirs, ours = f"acoustic_model.model.backbone.{i}", f"network.blocks.{i}"
        for part in NORM:
            state[f"{ours}.depthwise.{part}"] = found[f"{theirs}.depthwise.{part}"]
            state[f"{ours}.pointwise.{part}"] = next(convolutions).squeeze(-1)
            state[f"{ours}.squeeze.{part}"] = found[f"{theirs}.se.fc1.{part}"].squeeze(-1)
            state[f"{ours}.excite.{part}"] = found[f"{theirs}.se.fc2.{part}"].squeeze(-1)
    for i in range(layers):
        theirs, ours = f"acoustic_model.model.attn_layers.{i}", f"network.layers.{i}"
        for name, bias in (
            ("attention.into", "attn.in_proj_bias"),
            ("attention.out", "attn.out_proj.bias"),
            ("into", "ff.0.bias"),
            ("out", "ff.3.bias"),
        ):
            state[f"{ours}.{name}.weight"] = next(matrices).T
            state[f"{ours}.{name}.bias"] = found[f"{theirs}.{bias}"]
        for part in NORM:
            state[f"{ours}.attention_norm.{part}"] = found[f"{theirs}.norm1.{part}"]
            state[f"{ours}.norm.{part}"] = found[f"{theirs}.norm2.{part}"]
    return state


def graphemes(encoder: Mapping[str, Tensor], decoder: Mapping[str, Tensor]) -> State:
    """The state of a ``GraphemeToPhoneme``; errors as of :func:`conformer`."""
    into, matrices = _nameless(encoder, "MatMul"), _nameless(decoder, "MatMul")
    state = {
        "encoder.embedding.weight": encoder["model.encoder_embedding.weight"],
        "encoder.depthwise.weight": encoder["model.frontend.depthwise.weight"],
        "encoder.pointwise.weight": encoder["model.frontend.pointwise.weight"].squeeze(-1),
        "encoder.around.weight": next(into).T,
        "decoder.keys.weight": next(into).T,
        "decoder.embedding.weight": decoder["model.decoder_embedding.weight"],
        "decoder.location.weight": decoder["model.attention.location_conv.weight"],
        "decoder.around.weight": next(matrices).T,
        "decoder.query.weight": next(matrices).T,
        "decoder.location_proj.weight": next(matrices).T,
        "decoder.energy.weight": next(matrices).T,
        "decoder.out.weight": next(matrices).T,
    }
    for part in NORM:
        state[f"encoder.front_norm.{part}"] = encoder[f"model.frontend.norm.{part}"]
        state[f"encoder.norm.{part}"] = encoder[f"model.encoder_out_norm.{part}"]
        state[f"encoder.bridge.{part}"] = encoder[f"model.bridge.{part}"]
        for name, key in _DECODER:
            state[f"decoder.{name}.{part}"] = decoder[f"model.{key}.{part}"]
    return state | _gru("encoder", encoder) | _gru("decoder", decoder)


_DECODER = (
    ("state_norm", "decoder_state_norm"),
    ("context_norm", "context_norm"),
    ("context_proj", "context_proj"),
    ("fusion_norm", "fusion_norm"),
    ("narrow", "output_in_proj"),
)


def _gru(side: str, found: Mapping[str, Tensor]) -> State:
    """Two recurrent layers. ONNX has the update gate before the reset gate, PyTorch behind it."""
    parts, state = list(_nameless(found, "GRU")), {}
    for layer, three in enumerate((parts[:3], parts[3:])):
        biases = next(x for x in three if x.dim() == 2)
        into, recurrent = (x for x in three if x.dim() == 3)
        for way in range(len(biases)):
            name = f"l{layer}{'_reverse' if way else ''}"
            bias_in, bias_recurrent = biases[way].chunk(2)
            for kind, value in (
                ("weight_ih", into[way]),
                ("weight_hh", recurrent[way]),
                ("bias_ih", bias_in),
                ("bias_hh", bias_recurrent),
            ):
                update, reset, new = value.chunk(3)
                state[f"{side}.gru.{kind}_{name}"] = torch.cat([reset, update, new])
    return state

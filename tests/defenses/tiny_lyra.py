"""Lyra with random weights, in TFLite files: as much of the format as is read."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from melmoat.defenses.neural import lyra
from melmoat.defenses.neural.lyra import Causal, CausalTransposed, SoundStream
from melmoat.defenses.neural.tflite import KINDS, MARK, Operator

Array = NDArray[Any]
Scale = tuple[Array, Array, int]  # scales, zero points, the dimension that they are along
Call = tuple[int, Sequence[tuple[Array, Scale | None]]]  # an operator and the tensors it is given


class Table(dict[int, Any]):
    """Fields by number: another table, a list of tables, an array, or a format and a number."""


def flatbuffer(root: Table) -> bytes:
    out = bytearray(bytes(4) + MARK)

    def follow(place: int, what: Any) -> None:
        """Append ``what``, and have the bytes at ``place`` point at it."""
        if isinstance(what, Table):  # before it stands where its fields are, or 0
            where = dict(zip(what, range(4, 4 + 4 * len(what), 4), strict=True))
            slots = [where.get(field, 0) for field in range(max(what, default=-1) + 1)]
            sizes = (4 + 2 * len(slots), 4 + 4 * len(what))
            out.extend(struct.pack(f"<{2 + len(slots)}H", *sizes, *slots))
        at = len(out)
        struct.pack_into("<I", out, place, at - place)
        if isinstance(what, Table):
            out.extend(struct.pack("<i", sizes[0]) + bytes(4 * len(what)))
            for field, value in what.items():
                if isinstance(value, tuple):
                    struct.pack_into(value[0], out, at + where[field], value[1])
                else:
                    follow(at + where[field], value)
        else:
            out.extend(struct.pack("<I", len(what)))
            out.extend(bytes(4 * len(what)) if isinstance(what, list) else what.tobytes())
            for i, one in enumerate(what if isinstance(what, list) else []):
                follow(at + 4 + 4 * i, one)

    follow(0, root)
    return bytes(out)


def file(*graphs: Sequence[Call]) -> bytes:
    """A TFLite file whose graphs are these operators."""
    codes = sorted({kind for graph in graphs for kind, _ in graph})
    buffers, made = [Table()], []  # the first buffer is empty: of what is computed
    for graph in graphs:
        tensors, operators = [Table({2: ("<I", 0)})], []
        for kind, given in graph:
            inputs = [0, *range(len(tensors), len(tensors) + len(given)), -1]
            for values, scale in given:
                tensors.append(_tensor(values, scale, len(buffers)))
                buffers.append(Table({0: values.reshape(-1).view("u1")}))
            used = Table({0: ("<I", codes.index(kind)), 1: np.array(inputs, "<i4")})
            operators.append(used)
        made.append(Table({0: tensors, 3: operators}))
    # Small numbers of operators stand in two fields.
    kinds = [Table({0: ("b", code), 3: ("<i", code)}) for code in codes]
    return flatbuffer(Table({1: kinds, 2: made, 4: buffers}))


def _tensor(values: Array, scale: Scale | None, buffer: int) -> Table:
    kind = next(k for k, name in KINDS.items() if np.dtype(name) == values.dtype)
    fields: dict[int, Any] = {0: np.array(values.shape, "<i4"), 1: ("b", kind)}
    fields[2] = ("<I", buffer)
    if scale:
        scales, zeros, along = scale
        fields[4] = Table({2: scales.astype("<f4"), 3: zeros.astype("<i8"), 6: ("<i", along)})
    return Table(fields)


def network() -> SoundStream:
    """Random weights that let speech through, about as loud in as out."""
    torch.manual_seed(7)
    made = SoundStream()
    made.encoder[-1].weight.data *= 30.0  # type: ignore[operator, union-attr]
    made.codebooks.normal_().mul_(torch.linspace(1.0, 0.1, lyra.CODEBOOKS)[:, None, None])
    return made.eval().requires_grad_(False)


def save(folder: Path, made: SoundStream | None = None) -> Path:
    """The three files."""
    made = made or network()
    folder.mkdir(exist_ok=True)
    books = [(Operator.SQUARED_DIFFERENCE, [(x[None].numpy(), None)]) for x in made.codebooks]
    (folder / lyra.QUANTISER).write_bytes(file([], books))
    (folder / lyra.ENCODER).write_bytes(file(list(_calls(made.encoder))))
    (folder / lyra.DECODER).write_bytes(file(list(_calls(made.decoder))))
    return folder


def _calls(network: torch.nn.Module) -> Iterator[Call]:
    """TFLite has channels behind, and a width of 1 before them."""
    for layer in network.modules():
        if not isinstance(layer, Causal | CausalTransposed):
            continue
        assert layer.bias is not None
        if isinstance(layer, CausalTransposed):
            size = (np.ones(4, "<i4"), None)
            groups = zip(
                layer.weight.chunk(layer.groups), layer.bias.chunk(layer.groups), strict=True
            )
            for weight, bias in groups:
                own = weight.permute(1, 2, 0)[:, :, None].contiguous().numpy()
                yield Operator.TRANSPOSED, [size, (own, None), (bias.numpy(), None)]
        elif layer.groups == layer.in_channels > 1:
            own = layer.weight[:, 0].T[None, :, None].contiguous().numpy()
            yield Operator.DEPTHWISE, [(own, None), (layer.bias.numpy(), None)]
        else:
            own = layer.weight.permute(0, 2, 1)[:, :, None].contiguous().numpy()
            yield Operator.CONVOLUTION, [(own, None), (layer.bias.numpy(), None)]

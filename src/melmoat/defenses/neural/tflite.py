"""The weights in a TFLite file, in the order in which its graph uses them.

Such a file is a flatbuffer: tables, whose fields are found by number through a table of offsets
(flatbuffers.dev, "FlatBuffer Internals"). The numbers are those of TensorFlow's ``schema.fbs``,
version 3. Nothing is run.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MARK = b"TFL3"  # behind the first four bytes
KINDS = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 9: "i1"}  # TensorType


class Operator(IntEnum):
    """Operators that have weights; ``BuiltinOperator`` in the schema."""

    CONVOLUTION = 3
    DEPTHWISE = 4
    TRANSPOSED = 67
    SQUARED_DIFFERENCE = 99


class NotReadError(ValueError):
    """It is no TFLite file, or is cut, or has other kinds of numbers than those known here."""


def weights(data: bytes, graph: int, kinds: Collection[int]) -> Iterator[tuple[int, list[Tensor]]]:
    """Each operator of these kinds, with the tensors among its inputs that the file holds.

    Integers with a scale become what they stand for, ``scale * (q - zero point)``.

    Args:
        data: the whole file.
        graph: which of its graphs.
        kinds: which operators.

    Raises:
        NotReadError: see there.
    """
    if data[4:8] != MARK:
        raise NotReadError("not a TFLite file")
    try:
        yield from _weights(_Table(data, _number("<I", data, 0)), graph, kinds)
    except (struct.error, ValueError, IndexError, KeyError) as error:
        raise NotReadError(f"a TFLite file that is cut or of another kind ({error})") from error


def _weights(
    model: _Table, graph: int, kinds: Collection[int]
) -> Iterator[tuple[int, list[Tensor]]]:
    # An older file has the operator's number in one byte, field 0; a newer one in field 3.
    codes = [max(code.number(0, "b"), code.number(3, "<i")) for code in model.tables(1)]
    buffers = model.tables(4)
    main = model.tables(2)[graph]
    tensors = main.tables(0)
    for operator in main.tables(3):
        kind = codes[operator.number(0, "<I")]
        if kind in kinds:
            inputs = [tensors[i] for i in operator.vector(1, "<i4") if i >= 0]
            stored = [(x, buffers[x.number(2, "<I")].vector(0, "u1")) for x in inputs]
            yield kind, [_values(tensor, raw) for tensor, raw in stored if raw.size]


def _values(tensor: _Table, raw: NDArray[Any]) -> Tensor:
    values = raw.view(KINDS[tensor.number(1, "b")]).reshape(tensor.vector(0, "<i4"))
    how = tensor.table(4)
    scale = how.vector(2, "<f4") if how else np.empty(0)
    if how and scale.size:
        zero = how.vector(3, "<i8")
        along = [1] * values.ndim  # one scale for all, or one for each slice along a dimension
        along[how.number(6, "<i")] = scale.size
        values = scale.reshape(along) * (values - zero.reshape(along)).astype("f4")
    return torch.from_numpy(np.array(values))


def _number(kind: str, data: bytes, at: int) -> int:
    found: int = struct.unpack_from(kind, data, at)[0]
    return found


@dataclass(frozen=True)
class _Table:
    """A table of the flatbuffer ``data`` that begins at byte ``at``."""

    data: bytes
    at: int

    def _place(self, field: int) -> int:
        """Where a field is; 0 if it is not stored."""
        offsets = self.at - _number("<i", self.data, self.at)
        within = 4 + 2 * field
        if within >= _number("<H", self.data, offsets):
            return 0
        offset = _number("<H", self.data, offsets + within)
        return self.at + offset if offset else 0

    def _to(self, field: int) -> int:
        """Where a field points; 0 if it is not stored."""
        place = self._place(field)
        return place + _number("<I", self.data, place) if place else 0

    def number(self, field: int, kind: str) -> int:
        """A whole number; one that is not stored is 0."""
        place = self._place(field)
        return _number(kind, self.data, place) if place else 0

    def table(self, field: int) -> _Table | None:
        at = self._to(field)
        return _Table(self.data, at) if at else None

    def vector(self, field: int, kind: str) -> NDArray[Any]:
        at = self._to(field)
        size = _number("<I", self.data, at) if at else 0
        return np.frombuffer(self.data, kind, size, at + 4)

    def tables(self, field: int) -> list[_Table]:
        first = self._to(field) + 4
        offsets = self.vector(field, "<u4")
        return [_Table(self.data, first + 4 * i + int(x)) for i, x in enumerate(offsets)]

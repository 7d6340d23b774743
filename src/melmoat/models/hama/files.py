"""Files of the package hama: its own container of tensors, and ONNX files of its older versions.

They are read and not run, and nothing of the package is imported. They lie in the installed
package, or in a wheel that ``pip download`` fetched.

The container: magic ``HAMAPK``, version (u16), count (u32); of each tensor its name (u16 length and
bytes), type (u8), rank (u8), sizes (u32 each), offset and bytes (u64 each); then, from the next
multiple of 16, the data. Little-endian.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from melmoat.errors import MelmoatError
from melmoat.weights import AGAIN, WeightsError, initializers, package_folder

MAGIC = b"HAMAPK"
TYPES = {0: np.float32, 1: np.float16}
ALIGNED = 16  # bytes
VOCABULARY = "g2p_vocab.json"
GRAPHEMES = ("encoder", "decoder_step")  # files of grapheme-to-phoneme
INSTALL = 'pip install "melmoat[hama]"'


@dataclass(frozen=True)
class Package:
    """The data files of one version of hama.

    Args:
        path: the folder ``assets`` of the installed package, or a wheel.
    """

    path: Path

    @property
    def names(self) -> set[str]:
        """Its data files."""
        if self.path.is_dir():
            return {path.name for path in self.path.iterdir()}
        with zipfile.ZipFile(self.path) as wheel:
            inside = (Path(name) for name in wheel.namelist())
            return {path.name for path in inside if path.parts[:2] == ("hama", "assets")}

    def read(self, name: str) -> bytes:
        """The contents of one of them."""
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as wheel:
                return wheel.read(f"hama/assets/{name}")
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise WeightsError(
                f"{self.path}: {name} cannot be read ({error}); {INSTALL}"
            ) from error

    def file(self, stem: str) -> str | None:
        """The name of the file of weights that begins so; None where there is none."""
        names = self.names
        return next((n for n in (f"{stem}.hama", f"{stem}.onnx") if n in names), None)

    def tensors(self, stem: str) -> dict[str, Tensor]:
        """The weights of a file, as 32-bit floats, by the names that they have there.

        Raises:
            WeightsError: no such file, or it is cut or another's.
        """
        name = self.file(stem)
        if name is None:
            raise WeightsError(f"{self.path}: no {stem}.hama or {stem}.onnx in it; {INSTALL}")
        data, shown = self.read(name), f"{self.path / name}"
        if name.endswith(".hama"):
            return unpacked(data, shown)
        return initializers(data, shown, "hama")

    def json(self, name: str) -> Any:
        """A file of settings."""
        try:
            return json.loads(self.read(name))
        except ValueError as error:
            raise WeightsError(f"{self.path / name}: not JSON ({error}); {AGAIN}") from error


def package(wheel: Path | None = None) -> Package:
    """The installed package, or the one in a wheel.

    Raises:
        MelmoatError: it is not installed.
        WeightsError: no such wheel.
    """
    if wheel is not None:
        if not zipfile.is_zipfile(wheel):  # or not there
            raise WeightsError(
                f"{wheel}: no wheel; `pip download --no-deps hama==1.3.13` fetches one"
            )
        return Package(wheel)
    folder = package_folder("hama")
    if folder is None:
        raise MelmoatError(
            f"the hama recognizers read their weights from the package hama: {INSTALL}"
        )
    return Package(folder / "assets")


def unpacked(data: bytes, name: str) -> dict[str, Tensor]:
    """The tensors of a container, as 32-bit floats.

    Args:
        data: the whole file.
        name: what errors call it.

    Raises:
        WeightsError: another kind of file, a cut one, or one with foreign bytes at the end.
    """
    if data[: len(MAGIC)] != MAGIC:
        raise WeightsError(f"{name}: not a file of hama; it does not begin with {MAGIC.decode()}")
    try:
        entries, at = _entries(data)
        base = math.ceil(at / ALIGNED) * ALIGNED
        whole = base + max(offset + size for _, _, _, offset, size in entries)
        if whole != len(data):
            raise ValueError(f"{len(data)} bytes of {whole}")
        return {
            key: _tensor(data[base + offset : base + offset + size], kind, sizes)
            for key, kind, sizes, offset, size in entries
        }
    except (KeyError, ValueError, struct.error) as error:
        raise WeightsError(f"{name}: damaged or cut short ({error}); {AGAIN}") from error


_Entry = tuple[str, int, tuple[int, ...], int, int]  # name, type, sizes, offset, bytes


def _entries(data: bytes) -> tuple[list[_Entry], int]:
    """The table of contents, and where it ends."""
    (count,) = struct.unpack_from("<I", data, 8)
    at, entries = 12, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        key = data[at + 2 : at + 2 + length].decode()
        kind, rank = struct.unpack_from("<BB", data, at + 2 + length)
        at += 4 + length
        *sizes, offset, size = struct.unpack_from(f"<{rank}IQQ", data, at)
        at += 4 * rank + 16
        entries.append((key, kind, tuple(sizes), offset, size))
    return entries, at


def _tensor(data: bytes, kind: int, sizes: tuple[int, ...]) -> Tensor:
    values = np.frombuffer(data, TYPES[kind]).reshape(sizes)
    return torch.from_numpy(values.astype(np.float32))

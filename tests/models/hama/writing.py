"""hama's container of tensors, written; and a wheel that holds the squeeze-excite network."""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from melmoat.models.hama.files import GRAPHEMES, VOCABULARY, package


def packed(found: Mapping[str, Tensor], half: bool = False) -> bytes:
    """A container of ``found``."""
    kind, dtype = (1, np.float16) if half else (0, np.float32)
    entries, data = b"", b""
    for name, value in found.items():
        raw = value.numpy().astype(dtype).tobytes()
        entries += struct.pack("<H", len(name.encode())) + name.encode()
        entries += struct.pack("<BB", kind, value.dim())
        entries += struct.pack(f"<{value.dim()}I", *value.shape)
        entries += struct.pack("<QQ", len(data), len(raw))
        data += raw
    head = b"HAMAPK" + struct.pack("<HI", 0x201, len(found)) + entries
    return head + bytes(-len(head) % 16) + data


def random_se() -> dict[str, Tensor]:
    """Weights of the squeeze-excite network as hama names them; they are random."""
    torch.manual_seed(0)
    sizes: list[tuple[str, tuple[int, ...]]] = [("acoustic_model.model.proj.weight", (191, 256, 1))]
    sizes += [("acoustic_model.model.proj.bias", (191,))]
    sizes += [("onnx::Conv_1", (256, 80, 3)), ("onnx::Conv_2", (256,))]
    for i in range(11):
        part = f"acoustic_model.model.backbone.{i}"
        sizes += [(f"{part}.depthwise.weight", (256, 1, 9)), (f"{part}.depthwise.bias", (256,))]
        sizes += [(f"{part}.se.fc1.weight", (32, 256, 1)), (f"{part}.se.fc1.bias", (32,))]
        sizes += [(f"{part}.se.fc2.weight", (256, 32, 1)), (f"{part}.se.fc2.bias", (256,))]
        sizes += [(f"onnx::Conv_{3 + 2 * i}", (256, 256, 1)), (f"onnx::Conv_{4 + 2 * i}", (256,))]
    for i in range(2):
        part = f"acoustic_model.model.attn_layers.{i}"
        sizes += [(f"{part}.norm{n}.{p}", (256,)) for n in (1, 2) for p in ("weight", "bias")]
        sizes += [(f"{part}.attn.in_proj_bias", (768,)), (f"{part}.attn.out_proj.bias", (256,))]
        sizes += [(f"{part}.ff.0.bias", (512,)), (f"{part}.ff.3.bias", (256,))]
        matrices = ((256, 768), (256, 256), (256, 512), (512, 256))
        sizes += [(f"onnx::MatMul_{4 * i + n}", size) for n, size in enumerate(matrices)]
    found = {name: _values(name, size) for name, size in sizes}
    spectrum = package().tensors("asr_waveform")
    return found | {k: spectrum[k] for k in ("mel_fb", "stft_real_kernel", "stft_imag_kernel")}


def _values(name: str, size: tuple[int, ...]) -> Tensor:
    if ".norm" in name and name.endswith("weight"):
        return torch.ones(size)
    values = torch.randn(size)
    return values * (0.1 if len(size) == 1 else 1.2 / size[-2 if "MatMul" in name else 1] ** 0.5)


def save_wheel(path: Path) -> None:
    """A wheel with random squeeze-excite weights and the installed package's phonemes."""
    source = package()
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("hama/assets/asr_waveform_fp16.hama", packed(random_se()))
        for name in (*(f"{stem}.hama" for stem in GRAPHEMES), VOCABULARY):
            wheel.writestr(f"hama/assets/{name}", source.read(name))
